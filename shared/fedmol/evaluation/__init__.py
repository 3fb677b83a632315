"""How good generated molecules are, how likely real ones, and how far federated is from centralised training."""

from fedmol.evaluation.comparison import compare
from fedmol.evaluation.evaluation import Evaluation, evaluate, evaluate_table, read_evaluation

__all__ = ["Evaluation", "compare", "evaluate", "evaluate_table", "read_evaluation"]
