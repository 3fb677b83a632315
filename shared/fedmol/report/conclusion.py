"""What becomes of a finished run in its folder: the model is evaluated, once, and the account of the run is written."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fedmol import files
from fedmol.evaluation import Evaluation, evaluate, read_evaluation
from fedmol.evaluation.resemblance import Progress
from fedmol.federation.settings import Settings
from fedmol.graphs import Graphs
from fedmol.report.metrics import write_metrics
from fedmol.report.page import write_report
from fedmol.training.model_file import load_model

MODEL, EVALUATION, SAMPLES = "model.safetensors", "evaluation.json", "samples.smi"


def evaluate_once(
    folder: Path, settings: Settings, test: Graphs | None, known: Collection[str], on_progress: Progress | None = None
) -> Evaluation:
    """The evaluation of the model in `folder`, whose result and samples are written beside it.

    One that is there already, from before the run was broken off, stands. `test` and `known` as for `evaluate`.
    """
    path = folder / EVALUATION
    if path.exists():
        return read_evaluation(path)
    model = load_model(folder / MODEL)
    result = evaluate(model, test, known, settings.evaluation, settings.seed, on_progress, folder / SAMPLES)
    files.write_text(path, result.to_json(), files.GROUP)
    return result


def write_account(folder: Path) -> None:
    """metrics.csv and report.html of a run folder.

    Raises:
        FedmolError: see `fedmol.report.record.read_record`.
    """
    write_metrics(folder)
    write_report(folder)
