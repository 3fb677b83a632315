"""The trained models that come with fedmol, by the names of their files here."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fedmol.errors import Exit, FedmolError

DEFAULT = "qm9"


def available() -> list[str]:
    """The names of the models."""
    return sorted(path.stem for path in _folder().glob("*.safetensors"))


def shipped(name: str = DEFAULT) -> Path:
    """The file of the model of that name.

    Raises:
        FedmolError: BAD_MODEL if this installation does not have it.
    """
    if name not in available():
        raise FedmolError(
            Exit.BAD_MODEL,
            f"no model {name[:80]!r} comes with this installation of fedmol: it has {', '.join(available()) or 'none'}",
            "take one of these, or name a model.safetensors that training wrote",
        )
    return _folder() / f"{name}.safetensors"


def _folder() -> Path:
    return Path(str(resources.files(__name__)))
