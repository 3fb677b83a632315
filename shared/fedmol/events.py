"""The append-only event log: JSON lines, one writer, each line carrying the hash of the one before.

Status, metrics, page and report are all read from it; nothing a person is shown comes from anywhere else.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Any

from fedmol.errors import Exit, FedmolError

FIRST = "0" * 64
_HEAD: dict[str, type | UnionType] = {
    "seq": int,
    "time": str,
    "run": str,
    "site": str,
    "round": int | None,
    "phase": str | None,
    "kind": str,
}


@dataclass(frozen=True)
class Event:
    """One line of the log; `fields` are those of its `kind`."""

    seq: int
    time: str  # UTC, ISO 8601
    run: str
    site: str
    round: int | None
    phase: str | None
    kind: str
    fields: dict[str, Any]


def digest(line: bytes) -> str:
    """What the next line carries as `previous`; `line` without its end."""
    return hashlib.sha256(line).hexdigest()


def _complete_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


class EventLog:
    """The log's one writer. Opening an existing log goes on with its chain and drops a line that a crash tore."""

    def __init__(self, path: Path, *, run: str, site: str) -> None:
        self.path, self.run, self.site = path, run, site
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        path.touch()
        whole = _complete_lines(path.read_bytes())
        os.truncate(path, len(whole))
        self._seq, self._previous = _follow_chain(path, whole)
        self._length = len(whole)

    def write(
        self, kind: str, *, site: str | None = None, round: int | None = None, phase: str | None = None, **fields: Any
    ) -> None:
        """Append one event, about the log's own site unless another is named, and hand it to the system."""
        with self._lock:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            head = dict(zip(_HEAD, (self._seq, time, self.run, site or self.site, round, phase, kind), strict=True))
            line = json.dumps({**head, **fields, "previous": self._previous}).encode()
            self._append(line + b"\n")
            self._seq, self._previous = self._seq + 1, digest(line)

    def sync(self) -> None:
        """Force what has been written to the disk."""
        with self.path.open("ab") as file:
            os.fsync(file.fileno())

    def _append(self, line: bytes) -> None:
        """The whole line or, where the disk takes no more, nothing of it."""
        with self.path.open("ab", buffering=0) as file:
            try:
                written = file.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                os.truncate(self.path, self._length)
                error.filename = str(self.path)
                raise
        self._length += len(line)


def parse(line: bytes) -> Event:
    """The event of one line. Raises ValueError, KeyError, TypeError or AttributeError if it is none."""
    return _parts(line)[0]


def _parts(line: bytes) -> tuple[Event, str]:
    """The event of one line, and the hash of the line before that it carries."""
    try:
        record = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    head = {key: record.pop(key) for key in _HEAD}
    if not all(isinstance(head[key], kind) for key, kind in _HEAD.items()):
        raise TypeError("the head of an event has other types")
    previous = record.pop("previous")
    return Event(**head, fields=record), previous


def read(path: Path) -> Iterator[Event]:
    """Every complete event of the log; a line still being written is left for the next reading.

    Raises:
        FedmolError: STATE_UNUSABLE, naming the first line that is no event.
    """
    yield from _events(path, _complete_lines(path.read_bytes()), 1)


def _events(path: Path, lines: bytes, first: int) -> Iterator[Event]:
    for number, line in enumerate(lines.splitlines(), start=first):
        try:
            event = parse(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _unusable(path, number, "this is no line of an event log") from None
        yield event


class Follower:
    """Hands out the events that came since it was last asked, without reading the log again."""

    def __init__(self, path: Path) -> None:
        self.path, self._offset, self._lines = path, 0, 0

    def new(self) -> list[Event]:
        """Raises FedmolError STATE_UNUSABLE, naming the first line that is no event."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole = _complete_lines(file.read())
        events = list(_events(self.path, whole, self._lines + 1))
        self._offset, self._lines = self._offset + len(whole), self._lines + len(events)
        return events


def verify(path: Path) -> int:
    """The number of events in the log, if the chain of hashes is unbroken.

    Raises:
        FedmolError: STATE_UNUSABLE, naming the first line that does not follow from the one before.
    """
    return _follow_chain(path, _complete_lines(path.read_bytes()))[0]


def _follow_chain(path: Path, content: bytes) -> tuple[int, str]:
    """The number of lines and the digest of the last one, if each follows from the one before."""
    previous, count = FIRST, 0
    for count, line in enumerate(content.splitlines(), start=1):
        try:
            event, said = _parts(line)
            follows = (event.seq, said) == (count - 1, previous)
        except (ValueError, KeyError, TypeError, AttributeError):
            follows = False
        if not follows:
            raise _unusable(path, count, "the event log was changed after it was written")
        previous = digest(line)
    return count, previous


def _unusable(path: Path, line: int, what: str) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE, f"{path}, line {line}: {what}", "restore the log from a backup, or start a new run"
    )
