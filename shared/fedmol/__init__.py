"""Generate molecules by discrete graph diffusion; train one model across sites that keep their molecules.

    >>> import fedmol
    >>> model = fedmol.load("qm9")
    >>> molecules = model.sample(8, seed=0)
    >>> len(molecules) + len(molecules.invalid)
    8
    >>> print(fedmol.evaluate(molecules).quality.validity.total)
    8

`load` and `train` give a `Model`, whose `sample` gives `Molecules`; `evaluate` measures models and molecules alike.
What goes wrong is a `FedmolError`, which says what to do about it. Importing fedmol costs nothing: torch and RDKit are
loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedmol.chem.generated_molecules import Molecule
    from fedmol.chem.vocabulary import Vocabulary
    from fedmol.errors import FedmolError
    from fedmol.evaluation.evaluation import Evaluation
    from fedmol.library.assessment import evaluate
    from fedmol.library.fitting import train
    from fedmol.library.model import Model, load
    from fedmol.library.molecule_input import DataWarning
    from fedmol.library.molecule_set import Molecules

_HOMES = {
    "DataWarning": "fedmol.library.molecule_input",
    "Evaluation": "fedmol.evaluation.evaluation",
    "FedmolError": "fedmol.errors",
    "Model": "fedmol.library.model",
    "Molecule": "fedmol.chem.generated_molecules",
    "Molecules": "fedmol.library.molecule_set",
    "Vocabulary": "fedmol.chem.vocabulary",
    "evaluate": "fedmol.library.assessment",
    "load": "fedmol.library.model",
    "train": "fedmol.library.fitting",
}

__all__ = [
    "DataWarning",
    "Evaluation",
    "FedmolError",
    "Model",
    "Molecule",
    "Molecules",
    "Vocabulary",
    "evaluate",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("fedmol")
    if name not in _HOMES:
        raise AttributeError(f"module 'fedmol' has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
