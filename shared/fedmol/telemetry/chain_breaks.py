"""What was done to a log whose chain of hashes is broken: which lines were changed, removed, added or moved.

The log falls into pieces, each of lines that follow from one another. The longest row of pieces with ascending numbers
is what is left of the log as it was written; the other pieces were moved, changed or put there by somebody. Numbers
that are missing between two pieces of the row are those of lines that were removed. Where none is missing, the last
line of the first piece was changed: the next line has the digest that it had.

Lines are named by their numbers in the file, counted from 1. Numbers that lines carry (`seq`) are counted from 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedmol.telemetry.log import FIRST
from fedmol.telemetry.log_lines import Line, LogLines

_MOST_PIECES = 500  # of which it is found out what they are


@dataclass(frozen=True)
class Break:
    """Something that was done to a log, and the line where it shows."""

    line: int
    what: str


def breaks(path: Path, known: Collection[str] = ()) -> list[Break]:
    """What was done to the log, by line; nothing where the chain holds.

    The lines with the digests `known` are certainly as they were written. Raises OSError when there is no log.
    """
    pieces = _pieces(path)
    if len(pieces) > _MOST_PIECES:
        first = pieces[0].lines[1] + 1
        return [Break(first, f"from line {first} on the chain is broken in more than {_MOST_PIECES} places")]
    row = _longest_row(pieces)
    return sorted(set(_compared(pieces, row, known)), key=lambda found: (found.line, found.what))


@dataclass
class _Piece:
    lines: tuple[int, int]  # the numbers of the first and the last one in the file
    seqs: tuple[int, int] | None  # those that they carry; None for a line that is no event
    previous: str  # the digest that the first one carries
    digests: list[str]

    @property
    def last(self) -> str:
        return self.digests[-1]

    def __str__(self) -> str:
        first, last = self.lines
        return f"line {first} was" if first == last else f"lines {first} to {last} were"


@dataclass
class _Gap:
    """Before a piece of the row, or after its last one."""

    before: _Piece | None
    after: _Piece | None
    left: int  # how many numbers are missing that no piece has been found for

    def __post_init__(self) -> None:
        self.begin = 0 if self.before is None else _seqs(self.before)[1] + 1
        self.line = 0 if self.before is None else self.before.lines[1]

    def has_room_for(self, piece: _Piece) -> bool:
        if piece.seqs is None or self.after is None:
            return False
        low, high = piece.seqs
        return self.begin <= low and high < _seqs(self.after)[0] and len(piece.digests) <= self.left


def _seqs(piece: _Piece) -> tuple[int, int]:
    assert piece.seqs is not None
    return piece.seqs


def _pieces(path: Path) -> list[_Piece]:
    """In the order of the file, and of a log that is in shreds the first ones."""
    found: list[_Piece] = []
    before: Line | None = None
    for line in LogLines(path):
        if before is not None and line.follows(before):
            piece = found[-1]
            (first, _), (low, high) = piece.lines, _seqs(piece)
            piece.lines, piece.seqs = (first, line.number), (low, high + 1)
            piece.digests.append(line.digest)
        else:
            seqs = None if line.event is None else (line.event.seq, line.event.seq)
            found.append(_Piece((line.number, line.number), seqs, line.previous, [line.digest]))
            if len(found) > _MOST_PIECES:
                return found
        before = line
    claimed = {piece.previous for piece in found}
    return [part for piece in found for part in _parted(piece, claimed)]


def _parted(piece: _Piece, claimed: Collection[str]) -> Iterator[_Piece]:
    """The piece, cut after every line from which another piece says it goes on: what follows is a second version."""
    begin, previous = 0, piece.previous
    for end, digest in enumerate(piece.digests, 1):
        if piece.seqs is None or end == len(piece.digests) or digest in claimed:
            first, low = piece.lines[0], None if piece.seqs is None else piece.seqs[0]
            seqs = None if low is None else (low + begin, low + end - 1)
            yield _Piece((first + begin, first + end - 1), seqs, previous, piece.digests[begin:end])
            begin, previous = end, digest


def _longest_row(pieces: list[_Piece]) -> list[_Piece]:
    """The pieces with ascending numbers that have the most lines; of equal ones those that say they belong together."""
    rows: list[
        tuple[float, _Piece, int | None]
    ] = []  # the best row that ends with a piece: lines, piece, the one before
    for piece in pieces:
        if piece.seqs is None:
            continue
        most, before = 0.5 * (piece.seqs[0] == 0 and piece.previous == FIRST), None
        for number, (lines, other, _) in enumerate(rows):
            lines += 0.5 * (piece.previous == other.last)
            if _seqs(other)[1] < piece.seqs[0] and lines > most:
                most, before = lines, number
        rows.append((most + len(piece.digests), piece, before))
    row: list[_Piece] = []
    at = max(range(len(rows)), key=lambda number: rows[number][0], default=None)
    while at is not None:
        _, piece, at = rows[at]
        row.insert(0, piece)
    return row


def _compared(pieces: list[_Piece], row: list[_Piece], known: Collection[str]) -> Iterator[Break]:
    gaps = _gaps(row)
    strangers: dict[int, list[_Piece]] = {number: [] for number in range(len(gaps))}
    number, rest = 0, iter(row)
    expected = next(rest, None)
    for piece in pieces:
        if piece is expected:
            number, expected = number + 1, next(rest, None)
        elif (gap := next((other for other in gaps if other.has_room_for(piece)), None)) and gap is not gaps[number]:
            gap.left -= len(piece.digests)
            place = f"after line {gap.line}" if gap.line else "before line 1"
            yield Break(piece.lines[0], f"{piece} moved, and belongs {place}")
        else:
            strangers[number].append(piece)
    for number, gap in enumerate(gaps):
        yield from _strangers(gap, strangers[number])
        yield from _removed(gap)
        if gap.after is not None and gap.begin == _seqs(gap.after)[0]:
            yield from _changed(gap.before, gap.after, row[number + 1 : number + 2], known)


def _gaps(row: list[_Piece]) -> list[_Gap]:
    pairs = zip([None, *row], [*row, None], strict=True)
    gaps = [_Gap(before, after, 0) for before, after in pairs]
    for gap in gaps:
        gap.left = 0 if gap.after is None else _seqs(gap.after)[0] - gap.begin
    return gaps


def _strangers(gap: _Gap, pieces: list[_Piece]) -> Iterator[Break]:
    """Lines that do not belong where they are: where as many are missing they were changed, else they were added."""
    for piece in pieces:
        if len(piece.digests) <= gap.left:
            gap.left -= len(piece.digests)
            yield Break(piece.lines[0], f"{piece} changed")
        else:
            what = "added" if piece.seqs is not None or gap.after is not None else "added or changed: no event"
            yield Break(piece.lines[0], f"{piece} {what}")


def _removed(gap: _Gap) -> Iterator[Break]:
    if gap.left:
        lines = "1 line was" if gap.left == 1 else f"{gap.left:,} lines were"
        place = f"after line {gap.line}" if gap.line else "before line 1"
        yield Break(gap.line + 1, f"{lines} removed {place}")


def _changed(before: _Piece | None, after: _Piece, next: list[_Piece], known: Collection[str]) -> Iterator[Break]:
    """Of two pieces between which no number is missing: which line was changed so that they do not fit any more."""
    first = after.lines[0]
    if after.previous == (FIRST if before is None else before.last):
        return
    if before is None or before.last in known:
        yield Break(first, f"line {first} was changed")
        return
    last = before.lines[1]
    vouched = len(after.digests) > 1 or after.last in known or any(piece.previous == after.last for piece in next)
    what = f"line {last} was changed" if vouched else f"line {last}, or the hash of it in line {first}, was changed"
    yield Break(last, what)
