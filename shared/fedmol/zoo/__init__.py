"""The trained models that come with fedmol, by the names of their files here."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from fedmol.errors import Exit, FedmolError

DEFAULT = "qm9"
_DIGESTS = {"qm9": "6c2e61a296ee18c3bc49b417a38501217ee7b9760f4ba537089251e2a266df68"}  # SHA-256 of the files


def available() -> list[str]:
    """The names of the models."""
    return sorted(path.stem for path in _folder().glob("*.safetensors"))


def shipped(name: str = DEFAULT) -> Path:
    """The file of the model of that name.

    Raises:
        FedmolError: BAD_MODEL if this installation does not have it, or it is damaged.
    """
    if name not in available():
        raise FedmolError(
            Exit.BAD_MODEL,
            f"no model {name[:80]!r} comes with this installation of fedmol: it has {', '.join(available()) or 'none'}",
            "take one of these, or name a model.safetensors that training wrote",
        )
    path = _folder() / f"{name}.safetensors"
    if hashlib.sha256(path.read_bytes()).hexdigest() != _DIGESTS.get(name):
        raise FedmolError(
            Exit.BAD_MODEL, f"{path} is not the file that came with fedmol: it is damaged", "install fedmol again"
        )
    return path


def _folder() -> Path:
    return Path(str(resources.files(__name__)))
