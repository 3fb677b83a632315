"""The trained model that comes with fedmol."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fedmol.errors import Exit, FedmolError

SHIPPED = "qm9.safetensors"


def shipped() -> Path:
    """The file of the model that comes with fedmol.

    Raises:
        FedmolError: BAD_MODEL if this installation has none.
    """
    path = Path(str(resources.files(__name__) / SHIPPED))
    if not path.is_file():
        raise FedmolError(
            Exit.BAD_MODEL,
            f"this installation of fedmol comes without its model: there is no {path}",
            "install fedmol again, or name a model.safetensors that training wrote",
        )
    return path
