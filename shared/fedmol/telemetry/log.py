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
from io import FileIO
from pathlib import Path
from typing import Any, Generic, TypeVar

from fedmol.errors import Exit, FedmolError
from fedmol.files import open_regular, open_to_write
from fedmol.shown import plain
from fedmol.telemetry.events.event_record import Misread, Record, told
from fedmol.telemetry.events.field_types import LARGEST, LONGEST_MOMENT, moment

FIRST = "0" * 64
LONGEST_LINE = 2**20  # bytes: the account of a round with a thousand sites, or an agreement with as many sizes
_LONGEST = {"time": LONGEST_MOMENT, "run": 128, "site": 64, "phase": 64, "kind": 64}  # characters
_MOST_ROUNDS = 10**6
_MODE = 0o640
_HEAD = ("seq", "time", "run", "site", "round", "phase", "kind")
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


Body = TypeVar("Body", bound=Record, covariant=True)


@dataclass(frozen=True)
class Event(Generic[Body]):
    """One line of the log. `body` is the record of its kind, or says that it cannot be one."""

    seq: int
    time: str  # UTC, ISO 8601
    run: str
    site: str
    round: int | None
    phase: str | None
    kind: str
    body: Body


AnyEvent = Event[Record]


@dataclass(frozen=True)
class LogPosition:
    """A line by its number, and by what it and all lines before it say."""

    seq: int  # counted from 0
    head: str  # the line's digest


def stamp() -> str:
    """The time, as the log writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def digest(line: bytes) -> str:
    """What the next line carries as `previous`; `line` without its end."""
    return hashlib.sha256(line).hexdigest()


class EventLog:
    """The log's one writer. Opening an existing log goes on with its chain and drops a line that a crash tore."""

    def __init__(self, path: Path, *, run: str, site: str) -> None:
        self.path, self.run, self.site = path, run, site
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        _make(path)
        self._seq, self._previous, self._length = _follow_chain(path)
        os.truncate(path, self._length)

    def write(
        self, record: Record, *, site: str | None = None, round: int | None = None, phase: str | None = None
    ) -> LogPosition:
        """Append one event, about the log's own site unless another is named, and hand it to the system.

        Returns its place in the log, which is for good only after a `sync`.

        Raises:
            TypeError: that is no event, or one that has to name its round.
        """
        kind, fields = record.kind, record.said()
        if not kind:
            raise TypeError(f"the record {type(record).__name__} is only a part of an event")
        if record.of_a_round and round is None:
            raise TypeError(f"the event {kind} has no round")
        with self._lock:
            about = plain(site or self.site, _LONGEST["site"])
            head = dict(zip(_HEAD, (self._seq, stamp(), self.run, about, round, phase, kind), strict=True))
            line = json.dumps({**head, **fields, "previous": self._previous}, allow_nan=False).encode()
            if len(line) > LONGEST_LINE:
                raise ValueError(f"an event {kind} of {len(line):,} bytes is longer than a line of the log may be")
            self._append(line + b"\n")
            position = LogPosition(self._seq, digest(line))
            self._seq, self._previous = position.seq + 1, position.head
            return position

    def sync(self) -> None:
        """Force what has been written to the disk."""
        with self._open() as file:
            os.fsync(file.fileno())

    def _open(self) -> FileIO:
        """For appending. What has been put in the log's place since is not written to."""
        return FileIO(open_to_write(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")

    def _append(self, line: bytes) -> None:
        """The whole line or, where the disk takes no more, nothing of it."""
        with self._open() as file:
            try:
                written = file.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                file.truncate(self._length)
                error.filename = str(self.path)
                raise
        self._length += len(line)


def _make(path: Path) -> None:
    """A log that is not there yet, for its owner and the group: a sidecar, which only reads, may be another user."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, _MODE)  # whatever the umask of the process takes away
    finally:
        os.close(descriptor)


def parse(line: bytes) -> AnyEvent:
    """The event of one line. Raises ValueError, KeyError, TypeError or AttributeError where its head is not right."""
    return parse_chained(line)[0]


def parse_chained(line: bytes) -> tuple[AnyEvent, str]:
    """The event of one line, and the hash of the line before that it carries. Raises as `parse` does."""
    head, fields, previous = _parts(line)
    return Event(**head, body=told(head["kind"], head["round"], fields)), previous


def _parts(line: bytes) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Head, fields, and the hash of the line before. Raises as `parse` does."""
    if len(line) > LONGEST_LINE:
        raise ValueError("longer than a line of the log may be")
    try:
        said = json.loads(line, parse_constant=lambda _: None)  # JSON has no NaN; earlier versions wrote it
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not line.isascii() or b"\\ud" in line.lower():
        json.dumps(said, ensure_ascii=False).encode()  # raises ValueError for half a character, which nobody can show
    head = {key: said.pop(key) for key in _HEAD}
    _check_head(head)
    previous = said.pop("previous")
    return head, said, previous


def _check_head(head: dict[str, Any]) -> None:
    for key, longest in _LONGEST.items():
        if not (isinstance(head[key], str) or (key == "phase" and head[key] is None)):
            raise TypeError("the head of an event has other types")
        (head[key] or "").encode()  # raises ValueError for what cannot be shown
        if len(head[key] or "") > longest:
            raise ValueError("the head of an event is too long")
    for key, most in (("seq", LARGEST), ("round", _MOST_ROUNDS)):
        if (key, head[key]) != ("round", None) and (type(head[key]) is not int or not 0 <= head[key] <= most):
            raise TypeError("the head of an event has other numbers")
    moment(head["time"])


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every complete line of the log with its number, counted from 1, and without its end, one after another.

    Raises:
        FedmolError: STATE_UNUSABLE for a line that is longer than one can be.
        OSError: the log is not there, or no regular file.
    """
    with open_regular(path) as file:
        number = 0
        while (line := file.readline(LONGEST_LINE + 1)).endswith(b"\n"):
            number += 1
            yield number, line[:-1]
        if len(line) > LONGEST_LINE:
            raise _unusable(path, number + 1, "this is longer than a line of an event log")


def read(path: Path) -> Iterator[AnyEvent]:
    """Every complete event of the log; a line still being written is left for the next reading.

    Raises:
        FedmolError: STATE_UNUSABLE, naming the first line that is no event, or not what its kind is.
    """
    for number, event in enumerate(read_as_is(path), 1):
        if isinstance(event.body, Misread):
            raise _no_event(path, number, f": {event.body.what}")
        yield event


def read_as_is(path: Path) -> Iterator[AnyEvent]:
    """As `read` does, but events that are not what their kind is are among them, with the body `Misread`.

    Raises:
        FedmolError: STATE_UNUSABLE, naming the first line that is no event.
    """
    for number, line in lines(path):
        try:
            yield parse(line)
        except _DAMAGE:
            raise _no_event(path, number) from None


class Follower:
    """Hands out the events that came since it was last asked, without reading the log again."""

    def __init__(self, path: Path) -> None:
        self.path, self._offset, self._lines = path, 0, 0

    def new(self) -> list[AnyEvent]:
        """Events that are not what their kind is are among them, with the body `Misread`.

        Raises:
            FedmolError: STATE_UNUSABLE, naming the first line that is no event.
        """
        found: list[AnyEvent] = []
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            return found
        with file:
            file.seek(self._offset)
            while (line := file.readline(LONGEST_LINE + 1)).endswith(b"\n"):
                self._lines += 1
                try:
                    found.append(parse(line[:-1]))
                except _DAMAGE:
                    raise _no_event(self.path, self._lines) from None
                self._offset += len(line)
        if len(line) > LONGEST_LINE:
            raise _unusable(self.path, self._lines + 1, "this is longer than a line of an event log")
        return found


def verify(path: Path) -> int:
    """The number of events in the log, if the chain of hashes is unbroken.

    Raises:
        FedmolError: STATE_UNUSABLE, naming the first line that does not follow from the one before.
    """
    return _follow_chain(path)[0]


def _follow_chain(path: Path) -> tuple[int, str, int]:
    """The number of lines, the digest of the last one and the bytes of all, if each follows from the one before."""
    previous, count, length = FIRST, 0, 0
    for count, line in lines(path):
        try:
            head, _, said = _parts(line)
            follows = (head["seq"], said) == (count - 1, previous)
        except _DAMAGE:
            follows = False
        if not follows:
            raise _unusable(path, count, "the event log was changed after it was written")
        previous, length = digest(line), length + len(line) + 1
    return count, previous, length


def _no_event(path: Path, line: int, why: str = "") -> FedmolError:
    return _unusable(path, line, f"this is not a line of an event log{why}")


def _unusable(path: Path, line: int, what: str) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE, f"{path}, line {line}: {what}", "restore the log from a backup, or start a new run"
    )
