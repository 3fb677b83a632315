"""The event log read while it grows: in pieces, from where the last reading ended, each line held against the chain."""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from typing import BinaryIO

from fedmol.events import FIRST, Event, digest, parse

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
        self._drained = False
        self.broken_line: int | None = None  # counted from 1
        self._marks = array("Q")  # the offset of every 256th line

    @property
    def caught_up(self) -> bool:
        """Everything that was complete at the last reading has been read."""
        return self._drained

    def read(self) -> list[Event]:
        """The next events, of one piece of the log; none when it has not grown.

        Raises:
            OSError: the log is not there, or may not be read.
        """
        with self.path.open("rb") as file:
            self._notice_replacement(file)
            length = _PIECE
            while True:
                file.seek(self.offset)
                piece = file.read(length)
                whole = piece[: piece.rfind(b"\n") + 1]
                if whole or len(piece) < length:
                    break
                length *= 4  # one line is longer than a piece
        self._drained = len(piece) < length
        return [event for line in whole.split(b"\n")[:-1] if (event := self._take(line))]

    def _notice_replacement(self, file: BinaryIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        if self.size < self.offset or file.read(len(self._head)) != self._head:
            self.generation += 1
            self._restart()
            self.size = os.fstat(file.fileno()).st_size

    def _take(self, line: bytes) -> Event | None:
        if self.lines % _MARK_EVERY == 0:
            self._marks.append(self.offset)
        if not self.lines:
            self._head = line[:_HEAD]
        self.offset, self.lines = self.offset + len(line) + 1, self.lines + 1
        event, follows = self._parse(line)
        if not follows and self.broken_line is None:
            self.broken_line = self.lines
        self._previous = digest(line)
        return event

    def _parse(self, line: bytes) -> tuple[Event | None, bool]:
        """The event, and whether the line carries the hash of the one before."""
        follows = b'"previous": "' + self._previous.encode() + b'"' in line
        try:
            return parse(line), follows
        except (ValueError, KeyError, TypeError, AttributeError):
            self.unreadable += 1
            return None, False

    def lines_from(self, number: int) -> tuple[list[bytes], int]:
        """Raw lines from line `number` (counted from 0) on, at most a piece of them, and the number after the last.

        Only lines that `read` has passed are handed out.
        """
        if number >= self.lines:
            return [], self.lines
        mark = number // _MARK_EVERY
        with self.path.open("rb") as file:
            file.seek(self._marks[mark])
            left, found, at = _PIECE, [], mark * _MARK_EVERY
            while at < self.lines and left > 0:
                line = file.readline()
                if at >= number:
                    found.append(line.rstrip(b"\n"))
                    left -= len(line)
                at += 1
        return found, at
