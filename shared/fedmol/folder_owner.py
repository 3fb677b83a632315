"""A working folder belongs to one party of one run, and to one process at a time.

owner.json      the run, the role and the site that the folder is of
lock            held by the process that works in it
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.run_folder import RunFolder
from fedmol.telemetry.log import read

_LARGEST = 4096  # bytes
_MODE = 0o750  # the group is let in: a sidecar is another user, and reads the log

Role = Literal["aggregator", "site"]


@dataclass(frozen=True)
class Owner:
    """Whose a working folder is."""

    run: str
    role: Role
    site: str  # "aggregator" for the aggregator

    def __str__(self) -> str:
        who = "the aggregator" if self.role == "aggregator" else f"site {self.site!r}"
        return f"{who} of run {self.run!r}"


_READER = TypeAdapter(Owner)


def claim(folder: Path, owner: Owner) -> int:
    """Make `folder` that of `owner`, for as long as the process lives; the descriptor that holds the lock.

    A folder that was there before there were owners is known by the first event of its log.

    Raises:
        FedmolError: FOLDER_IN_USE when another process works in it, STATE_UNUSABLE when it is somebody else's.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(_MODE)  # whatever the umask of the process takes away
    place = RunFolder(folder)
    lock = _take(place.lock)
    try:
        _require_owner(place, owner)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _require_owner(folder: RunFolder, owner: Owner) -> None:
    path = folder.owner
    found = _read(path) if path.exists() else _by_its_log(folder.log)
    if found is not None and found != owner:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{folder.path} is the working folder of {found}, not of {owner}",
            "name the run and the site that the folder belongs to, or give this one an empty folder",
        )
    if not path.exists():
        files.write_bytes(path, _READER.dump_json(owner), mode=0o600)


def _take(path: Path) -> int:
    lock = files.open_to_write(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return lock
    except BlockingIOError:
        holder = os.pread(lock, _LARGEST, 0).decode(errors="replace")
        os.close(lock)
        raise FedmolError(
            Exit.FOLDER_IN_USE,
            f"another process works in {path.parent}" + (f" (process {holder})" if holder.isdecimal() else ""),
            "stop it, or give every party of every run a working folder of its own",
        ) from None
    except OSError as error:
        os.close(lock)
        error.filename = error.filename or str(path)
        raise


def _read(path: Path) -> Owner:
    try:
        return _READER.validate_json(files.read_bytes(path, _LARGEST, follow=False))
    except (ValidationError, OSError) as error:
        why = f": {error.strerror}" if isinstance(error, OSError) else ""
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{path} does not say whose working folder this is{why}",
            "restore it from a backup of the folder, or give the run an empty folder",
        ) from None


def _by_its_log(log: Path) -> Owner | None:
    event = next(read(log), None) if log.exists() else None
    if event is None:
        return None
    role: Role = "aggregator" if event.site == "aggregator" else "site"
    return Owner(event.run, role, event.site)
