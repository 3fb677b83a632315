"""The event log read while it grows: in pieces, from where the last reading ended, each line held against the chain.

Whatever lies where the log should be, no more than a piece of it is in memory: a line that is longer than a line of a
log can be is passed over in pieces, and is a damaged one.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import BinaryIO

from fedmol.files import open_regular
from fedmol.telemetry.log import FIRST, LONGEST_LINE, AnyEvent, digest, parse

_PIECE = 256 * 1024  # bytes read at a time: what is in memory at once, however long the log is
_MARK_EVERY = 256  # lines
_HEAD = 256  # bytes of the first line, by whose time and run a log is known again


class LogReader:
    """Keeps where it is in the log, not what it has read.

    A log that is replaced by another one, or cut, is read from its beginning again; `generation` counts that.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.generation = path, 0
        self._restart()

    def _restart(self) -> None:
        self._previous, self._head = FIRST, b""
        self.offset = self.lines = self.size = self.unreadable = 0
        self._long: hashlib._Hash | None = None  # of a line that is too long, as far as it has been passed over
        self._drained = False
        self.broken_line: int | None = None  # counted from 1
        self.unreadable_line: int | None = None  # the first one
        self._marked, self._marks = array("Q"), array("Q")  # lines, every 256th and others, and their offsets

    @property
    def caught_up(self) -> bool:
        """Everything that was complete at the last reading has been read."""
        return self._drained

    def read(self) -> list[AnyEvent]:
        """The next events, of one piece of the log; none when it has not grown.

        Raises:
            OSError: the log is not there, may not be read, or is no file.
        """
        with open_regular(self.path) as file:
            self._notice_replacement(file)
            if self._long is not None:
                self._pass_over(file)
                return []
            length = _PIECE
            while True:
                file.seek(self.offset)
                piece = file.read(length)
                whole = piece[: piece.rfind(b"\n") + 1]
                if whole or len(piece) < length:
                    break
                if length > LONGEST_LINE:
                    self._begin_long_line(piece)
                    return []
                length = min(4 * length, LONGEST_LINE + 1)
        self._drained = len(piece) < length
        return [event for line in whole.split(b"\n")[:-1] if (event := self._take(line))]

    def _notice_replacement(self, file: BinaryIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        if self.size < self.offset or file.read(len(self._head)) != self._head:
            self.generation += 1
            self._restart()
            self.size = os.fstat(file.fileno()).st_size

    def _begin_long_line(self, piece: bytes) -> None:
        self._note_line(piece)
        self._unreadable()
        self._long, self._drained = hashlib.sha256(piece), False
        self.offset += len(piece)

    def _pass_over(self, file: BinaryIO) -> None:
        assert self._long is not None
        file.seek(self.offset)
        piece = file.read(_PIECE)
        rest, end, _ = piece.partition(b"\n")
        self._long.update(rest)
        self.offset += len(rest) + len(end)
        self._drained = not end and len(piece) < _PIECE
        if end:
            self._previous, self._long = self._long.hexdigest(), None
            self._mark()

    def _take(self, line: bytes) -> AnyEvent | None:
        self._note_line(line)
        self.offset += len(line) + 1
        event, follows = self._parse(line)
        if not follows:
            self.broken_line = self.broken_line or self.lines
        self._previous = digest(line)
        return event

    def _note_line(self, line: bytes) -> None:
        if self.lines % _MARK_EVERY == 0:
            self._mark()
        if not self.lines:
            self._head = line[:_HEAD]
        self.lines += 1

    def _mark(self) -> None:
        self._marked.append(self.lines)
        self._marks.append(self.offset)

    def _parse(self, line: bytes) -> tuple[AnyEvent | None, bool]:
        """The event, and whether the line carries the hash of the one before."""
        follows = b'"previous": "' + self._previous.encode() + b'"' in line
        try:
            event = parse(line)
            return event, follows and event.seq == self.lines - 1
        except (ValueError, KeyError, TypeError, AttributeError):
            self._unreadable()
            return None, False

    def _unreadable(self) -> None:
        self.unreadable += 1
        self.unreadable_line = self.unreadable_line or self.lines
        self.broken_line = self.broken_line or self.lines

    def lines_from(self, number: int) -> tuple[list[bytes], int]:
        """Raw lines from line `number` (counted from 0) on, at most a piece of them, and the number after the last.

        Only lines that `read` has passed are handed out; of one that is too long, its beginning.
        """
        if number >= self.lines:
            return [], self.lines
        mark = bisect_right(self._marked, number) - 1
        with open_regular(self.path) as file:
            file.seek(self._marks[mark])
            left, found, at = _PIECE, [], self._marked[mark]
            while at < self.lines and left > 0:
                line = file.readline(LONGEST_LINE + 1)
                if at >= number:
                    found.append(line[:_PIECE].rstrip(b"\n"))
                    left -= len(line)
                at += 1
                if not line.endswith(b"\n"):  # too long: what follows it is marked
                    if at == self.lines:
                        break
                    file.seek(self._marks[bisect_left(self._marked, at)])
        return found, at
