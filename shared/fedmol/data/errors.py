"""Files of molecules that cannot be used."""

from __future__ import annotations

from fedmol.errors import Exit, FedmolError


def bad(message: str, cure: str) -> FedmolError:
    """BAD_DATA, to be raised."""
    return FedmolError(Exit.BAD_DATA, message, cure)
