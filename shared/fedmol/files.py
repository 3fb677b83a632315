"""Writing a file whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fedmol.errors import Exit, FedmolError

_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}")  # a name that `replacing` gives to a file before it is whole


@contextmanager
def replacing(path: Path, mode: int = 0o644, over: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write bit by bit, which becomes `path` when the block ends and is gone if the block fails.

    A reader, or a power cut, sees the old file or the new one, never half. With `over`, a file beside it that is not
    needed any more, that one is written over: large files are written in half the time.

    Raises:
        OSError: nothing was written; it names a file, also where the system's own error names none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        if over is not None:
            os.close(descriptor)
            os.replace(over, name)
            descriptor = os.open(name, os.O_RDWR)
        with os.fdopen(descriptor, "r+b") as file:
            os.fchmod(descriptor, mode)
            yield file
            file.truncate()
            file.flush()
            os.fsync(descriptor)
        os.replace(name, path)
        _sync_folder(path.parent)  # or a power cut may leave the old name where it was
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, name):
            error.filename, error.filename2 = str(path), None
        raise


def open_regular(path: Path) -> BinaryIO:
    """The file to read, whatever somebody may have put in its place: nothing is waited for, no link is followed.

    Raises:
        OSError: it is not there, may not be read, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        number = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
        raise OSError(number, os.strerror(number) if kind == stat.S_IFDIR else "Not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def remove_unfinished(folder: Path) -> None:
    """Remove what `replacing` left in `folder` when its process was killed; nobody else may be writing there."""
    for path in folder.glob(".*"):
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def refusing_exchanged() -> Iterator[None]:
    """Use a working folder, in which a file may have been exchanged for a folder or the other way round.

    Raises:
        FedmolError: STATE_UNUSABLE, with the path.
    """
    try:
        yield
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{error.filename} cannot be used: {error.strerror}",
            "restore the working folder from a backup, or move what was put there out of it",
        ) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put `content` at `path` in one piece, see `replacing`."""
    with replacing(path, mode) as file:
        file.write(content)


def write_text(path: Path, content: str, mode: int = 0o644) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode(), mode)
