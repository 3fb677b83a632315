"""Writing a file whole or not at all, and reading one that may be anything."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fedmol.errors import STORAGE_ERRORS, Exit, FedmolError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}

GROUP = 0o640  # of what a sidecar, another user of the same group, shows
NO_FILE = {errno.EINVAL, errno.ELOOP, errno.EMSGSIZE}  # of errors that say that what is there can be no file of ours
_EXCHANGED = IsADirectoryError, NotADirectoryError, FileExistsError
_PIECE = 2**20  # bytes of a file that grows, read at a time

_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}")  # a name that `replacing` gives to a file before it is whole


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in such a block with this folder: what is read there and added to is not lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path, mode: int = 0o644, over: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write bit by bit, which becomes `path` when the block ends and is gone if the block fails.

    A reader, or a power cut, sees the old file or the new one, never half. With `over`, a file beside it that is not
    needed any more, that one is written over: large files are written in half the time.

    Raises:
        OSError: nothing was written; it names a file, also where the system's own error names none. What is at `path`
            and is no regular file is never written over, nor what a symbolic link leads to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    check_replaceable(path)
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
        check_replaceable(path)
        os.replace(name, path)
        _sync_folder(path.parent)  # or a power cut may leave the old name where it was
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, name):
            error.filename, error.filename2 = str(path), None
        raise


def check_replaceable(path: Path) -> None:
    """Raises OSError unless `path` is free, or a regular file: what `replacing` can put a file in the place of."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"{_irregular(mode)}, and no file is put in its place", str(path))


def open_regular(path: Path, largest: int | None = None, follow: bool = False) -> BinaryIO:
    """The file at `path`, open for reading: a regular one of at most `largest` bytes, never a pipe that blocks.

    Without `follow`, `path` may not be a symbolic link: in a working folder it could lead to a file that is nobody
    else's business. What a user names may be one, as are all files of a Kubernetes ConfigMap.

    Raises:
        OSError: it is not there, may not be read, is no regular file, or too large.
    """
    descriptor = _open(path, os.O_RDONLY, follow)
    try:
        if largest is not None and os.fstat(descriptor).st_size > largest:
            raise _too_large(path, largest)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")  # last of all: its own errors name the descriptor


def open_to_write(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of the file at `path`, to change it in place: a regular one, and never what a link leads to.

    Raises:
        OSError: it may not be written, or is no regular file.
    """
    return _open(path, flags, follow=False, mode=mode)


def _open(path: Path, flags: int, follow: bool, mode: int = 0o600) -> int:
    flags |= os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, mode)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            error.strerror = f"{_irregular(stat.S_IFLNK)}, which is not followed here"
        if error.errno == errno.ENXIO and not follow:  # a socket, or a pipe that nobody reads
            raise OSError(errno.EINVAL, _irregular(os.lstat(path).st_mode), str(path)) from None
        raise
    try:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, _irregular(about.st_mode), str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: Path, largest: int, follow: bool = False) -> bytes:
    """The content of the file at `path`, see `open_regular`; also of one that grows, at most `largest` bytes."""
    with open_regular(path, largest, follow) as file:
        content = file.read(os.fstat(file.fileno()).st_size + 1)  # as much room is made as is asked for
        while piece := file.read(min(_PIECE, max(0, largest + 1 - len(content)))):
            content += piece
    if len(content) > largest:
        raise _too_large(path, largest)
    return content


def _too_large(path: Path, largest: int) -> OSError:
    return OSError(errno.EMSGSIZE, f"it has more than {largest:,} bytes, the most that is read", str(path))


def _irregular(mode: int) -> str:
    return f"Not a regular file but {_KINDS.get(stat.S_IFMT(mode), 'something else')}"


def remove_unfinished(folder: Path) -> None:
    """Remove what `replacing` left in `folder` when its process was killed; nobody else may be writing there."""
    for path in folder.glob(".*"):
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def refusing_exchanged() -> Iterator[None]:
    """Use a working folder, where a file may have been exchanged for a folder, link or pipe, or a folder for a file.

    Raises:
        FedmolError: STATE_UNUSABLE, with the path.
    """
    try:
        yield
    except OSError as error:
        exchanged = isinstance(error, _EXCHANGED) or error.errno in NO_FILE
        if not exchanged or error.filename is None:
            raise
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
