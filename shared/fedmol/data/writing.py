"""Writing where a user wants it, with a message where that cannot be."""

from __future__ import annotations

from pathlib import Path

from fedmol.errors import STORAGE_ERRORS, Exit, FedmolError
from fedmol.files import write_bytes


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """`fedmol.files.write_bytes` for a place that a user chose.

    Raises:
        FedmolError: BAD_DATA if nothing can be written there.
        OSError: the disk is full, can only be read, or fails.
    """
    try:
        write_bytes(path, content, mode)
    except OSError as error:
        if error.errno in STORAGE_ERRORS:
            raise
        raise FedmolError(
            Exit.BAD_DATA,
            f"{path} cannot be written: {error.strerror}",
            "name a folder that you may write to, with room",
        ) from None
