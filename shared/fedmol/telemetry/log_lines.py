"""A log read to judge it: every line that there is, whatever has been done to the file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fedmol.files import open_regular
from fedmol.telemetry.log import FIRST, LONGEST_LINE, AnyEvent, digest, parse_chained

_PIECE = 256 * 1024  # bytes of a line that is too long which are read at a time


@dataclass(frozen=True, slots=True)
class Line:
    """A complete line. Without an event it is none that a log can have."""

    number: int  # in the file, counted from 1
    digest: str
    event: AnyEvent | None
    previous: str  # the digest of the line before, as this one says

    def follows(self, before: Line | None) -> bool:
        """Whether this line says that it comes after `before` or, without that, that it is the first of its log."""
        if self.event is None:
            return False
        if before is None:
            return (self.event.seq, self.previous) == (0, FIRST)
        return before.event is not None and (self.event.seq, self.previous) == (before.event.seq + 1, before.digest)


class LogLines:
    """The complete lines of the log in `path`, one after another.

    Once all have been read, `torn` is how many bytes there are of a last line that was never finished.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.torn = path, 0

    def __iter__(self) -> Iterator[Line]:
        """Raises OSError when the log is not there, or no regular file."""
        with open_regular(self.path, follow=True) as file:
            number = self.torn = 0
            while content := file.readline(LONGEST_LINE + 1):
                number += 1
                if content.endswith(b"\n"):
                    yield _line(number, content[:-1])
                elif len(content) <= LONGEST_LINE:
                    self.torn = len(content)
                elif found := self._too_long(file, number, content):
                    yield found

    def _too_long(self, file: BinaryIO, number: int, begin: bytes) -> Line | None:
        """The line, of which no more than a piece is in memory; None for one without an end."""
        hashed, length = hashlib.sha256(begin), len(begin)
        while piece := file.readline(_PIECE):
            hashed.update(piece.removesuffix(b"\n"))
            length += len(piece)
            if piece.endswith(b"\n"):
                return Line(number, hashed.hexdigest(), None, "")
        self.torn = length
        return None


def _line(number: int, content: bytes) -> Line:
    try:
        event, previous = parse_chained(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Line(number, digest(content), None, "")
    return Line(number, digest(content), event, previous if isinstance(previous, str) else "")
