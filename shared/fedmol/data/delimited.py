"""Tables as spreadsheets, databases and toolkits write them: every line is read, rejected, or blank.

Quotes are the hard part. `"a, b"` is one cell and may go over several lines; a name such as `2,2',2"` or `"5-deoxy` has
quotes that mean nothing. A line whose quotes do not close is therefore read on its own, with its quotes as they stand,
if that gives a whole row, unless the lines after it, read together with it, do so too.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fedmol.chem.normal_form import is_smiles
from fedmol.data import columns
from fedmol.errors import bad_data
from fedmol.formats import number

FIELDS = "{found} where the header has {expected}"
QUOTES = "quotes that do not close"
HEADER = "the header once more"

LONGEST_LINE = 1 << 20  # characters
_LONGEST_CELL = 1 << 17
_MOST_LINES = 500  # of one row
_LOOKED_AT = 200  # lines, to tell how a table is written
_MOSTLY, _LETTERS = 0.9, 3  # of lines that are rows by themselves; of their SMILES: any text has an N somewhere
_WHOLE_CELL = re.compile(r'"(?:[^"]|"")*"')
_SEVERAL = 3  # lines that no text has by chance
_DELIMITERS = ",", "\t", ";", "|"
_SEPARATOR = re.compile(r'"?sep=(?P<delimiter>[^"])"?\s*', re.IGNORECASE)  # a first line for Excel


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its SMILES cell, or why it has none that can be told."""

    line: int  # where it begins, counted from 1
    smiles: str = ""
    fault: str = ""
    blank: bool = False


@dataclass(frozen=True)
class Dialect:
    """How a table is written, and where its rows begin."""

    delimiter: str | None  # None: there is one column
    names: tuple[str, ...]
    smiles: int  # place of the column
    first: int  # index of the first line of the first row

    @property
    def column(self) -> str:
        return self.names[self.smiles]

    @cached_property
    def _header(self) -> tuple[str, ...]:
        """As every row is compared with it."""
        return tuple(name.casefold() for name in self.names)

    def row(self, line: int, cells: list[str]) -> Row:
        """The row of these cells, if they are as many as the header has.

        Empty ones too many do not count where the SMILES come first: elsewhere a comma in a name could have moved them.
        """
        width = len(self.names)
        if not any(map(str.strip, cells)):
            return Row(line, blank=True)
        if len(cells) < width or any(map(str.strip, cells[width:])) or (len(cells) > width and self.smiles):
            return Row(line, fault=FIELDS.format(found=number(len(cells), "field"), expected=width))
        if tuple(cell.strip().casefold() for cell in cells[:width]) == self._header:
            return Row(line, fault=HEADER)
        return Row(line, cells[self.smiles].strip())

    def literally(self, line: int, text: str) -> Row:
        """The row of a line whose quotes are not those around cells; a fault if they could be."""
        cells = text.split(self.delimiter) if self.delimiter else [text]
        opens = [place for place, cell in enumerate(cells) if cell.startswith('"') and not _is_closed(cell)]
        if opens and any(cell.rstrip().endswith('"') for cell in cells[opens[0] + 1 :]):
            return Row(line, fault=QUOTES)
        row = self.row(line, [cell.strip()[1:-1] if _is_closed(cell) else cell for cell in cells])
        return Row(line, fault=QUOTES) if row.fault else row


def _is_closed(cell: str) -> bool:
    cell = cell.strip()
    return len(cell) > 1 and cell[0] == cell[-1] == '"'


def lines_of(path: Path, text: str) -> list[str]:
    """The lines of a text that ends its lines with LF, CR, both, or CR CR LF, which copying can make of them.

    Raises:
        FedmolError: BAD_DATA if one of them is no line of a table.
    """
    lines = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    for place, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise bad_data(
                f"{path}, line {place} has more than {LONGEST_LINE:,} characters",
                "write one molecule a line, and leave out columns that are not needed",
            )
    return lines


def dialect(path: Path, lines: list[str], column: str) -> Dialect:
    """The delimiter and the header of a table.

    Of the delimiters with which the column is found it is the one that most of the rows agree with.

    Raises:
        FedmolError: BAD_DATA if the column is not found, or found twice.
    """
    start = next(index for index, line in enumerate(lines) if line.strip())
    told = _SEPARATOR.fullmatch(lines[start])
    if told is not None:
        start += 1
    while start < len(lines) and (not lines[start].strip() or _is_comment(lines[start], column)):
        start += 1
    if start == len(lines):
        raise bad_data(f"{path} has no header", "name a file with molecules in it")
    choices = [told["delimiter"]] if told is not None else _DELIMITERS
    headers = [_header(lines, start, delimiter) for delimiter in choices]
    fitting = [header for header in headers if columns.find(header.names, column)]
    if not fitting:
        columns.require(path, max((header.names for header in headers), key=len), column)
    best = max(fitting, key=lambda header: _fit(lines, header, column))
    if _numbered(lines, best):
        best = best._replace(names=["", *best.names])
    return _dialect(best, columns.require(path, best.names, column))


def _dialect(header: _Header, smiles: int) -> Dialect:
    return Dialect(header.delimiter if len(header.names) > 1 else None, tuple(header.names), smiles, header.first)


def _is_comment(line: str, column: str) -> bool:
    """A line such as `# SMILES, written by ...` above the header, which may itself begin with `#`."""
    if not line.startswith("#"):
        return False
    headers = [line.split(delimiter) for delimiter in _DELIMITERS]
    return not any(
        columns.called(names, column) or (len(names) > 1 and columns.find(names, column)) for names in headers
    )


class _Header(NamedTuple):
    delimiter: str
    names: list[str]
    first: int  # index of the first line after it


def by_number(path: Path, lines: list[str], column: int) -> Dialect:
    """The same for a table without a header, whose column is named by its number, counted from 1.

    Every line is a row. Whether the first one is a header could only be guessed: `CO` is a name and a molecule.

    Raises:
        FedmolError: BAD_DATA if there are not so many columns.
    """
    start = next(index for index, line in enumerate(lines) if line.strip())
    head = [line for line in lines[start : start + _LOOKED_AT] if line.strip()]

    def agreeing(delimiter: str) -> tuple[int, int]:
        widths = [len(line.split(delimiter)) for line in head]
        return widths.count(widths[0]) if widths[0] > 1 else 0, widths[0]

    header = _header(lines, start, max(_DELIMITERS, key=agreeing))
    width = len(header.names)
    if not 1 <= column <= width:
        raise bad_data(f"{path} has {width} columns, and no column {column}", "name one that there is (--column)")
    return _dialect(header._replace(names=[str(place + 1) for place in range(width)], first=0), column - 1)


def _header(lines: list[str], start: int, delimiter: str) -> _Header:
    span = _span(lines, start, delimiter) if '"' in lines[start] else None
    cells, taken = (lines[start].split(delimiter), 1) if span is None else (span.cells, span.taken)
    return _Header(delimiter, [name.strip() for name in cells], start + taken)


def _fit(lines: list[str], header: _Header, column: str) -> tuple[bool, bool, int, int]:
    """What speaks for a delimiter: the column has the very name, is not the only one, rows have as many fields, and the
    header has many.
    """
    how = _dialect(header, columns.find(header.names, column)[0])
    agreeing = sum(not row.fault and not row.blank for row in rows_of(lines[: how.first + _LOOKED_AT], how))
    return bool(columns.called(header.names, column)), len(how.names) > 1, agreeing, len(how.names)


def _numbered(lines: list[str], header: _Header) -> bool:
    """True if the rows begin with their numbers, which have no name in the header, as R writes them."""
    head = lines[header.first : header.first + _LOOKED_AT]
    rows = [line.split(header.delimiter) for line in head if line.strip()]
    return bool(rows) and all(
        len(row) == len(header.names) + 1 and row[0].strip('"') == str(number)
        for number, row in enumerate(rows, start=1)
    )


@dataclass(frozen=True, slots=True)
class _Span:
    """Lines that are one row by the rules of quotes."""

    cells: list[str]
    taken: int  # lines


def _span(lines: list[str], start: int, delimiter: str) -> _Span | None:
    """From the first line on as many as its quotes need to close; None if they do not, or are broken."""
    csv.field_size_limit(_LONGEST_CELL)
    closes = True
    for end in range(start + 1, min(start + _MOST_LINES, len(lines)) + 1):
        if end > start + 1:
            closes ^= lines[end - 1].count('"') % 2 == 1
        if not closes:
            continue
        try:
            rows = list(csv.reader([f"{line}\n" for line in lines[start:end]], delimiter=delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return None
            closes = False  # before an odd number of quotes has come
            continue
        return _Span(rows[0], end - start)
    return None


def rows_of(lines: list[str], how: Dialect) -> Iterator[Row]:
    """Every row after the header, blank ones too."""
    delimiter, index = how.delimiter, how.first
    while index < len(lines):
        line = lines[index]
        if '"' in line:
            rows, taken = _with_quotes(lines, index, how)
            yield from rows
            index += taken
        else:
            index += 1
            yield how.row(index, line.split(delimiter) if delimiter else [line])


def _with_quotes(lines: list[str], start: int, how: Dialect) -> tuple[list[Row], int]:
    """What begins with a line that has quotes in it: its rows, and how many lines they take.

    A cell in quotes before the one that opens shows that quotes are those around cells. `whole` are the lines within
    them that would be rows with a SMILES by themselves: without any, they are so too. The lines are `likely` to be rows
    if nearly all are, and their SMILES are more than letters that any text has; one or two of them may still be text,
    unless tabs stand in them. A quote that is `alone` in its field is no part of a name: it may open or close a cell,
    or mean ditto, so that it cannot be told.
    """
    span = _span(lines, start, how.delimiter or ",")
    if span is not None and (span.taken == 1 or _quotes_cells(lines[start], how.delimiter)):
        return [how.row(start + 1, span.cells)], span.taken
    literal = how.literally(start + 1, lines[start])
    if span is None:
        return [literal], 1
    numbers = range(start + 2, start + 1 + span.taken)  # of the lines after the first
    inner = [how.literally(number, lines[number - 1]) for number in numbers]
    if literal.fault:
        inner.pop()  # the last line of a cell at the beginning of a row may look like a row
    whole = [row.smiles for row in inner if not row.fault and is_smiles(row.smiles)]
    if not whole:
        return [how.row(start + 1, span.cells)], span.taken
    likely = (
        (how.delimiter == "\t" or len(inner) >= _SEVERAL)
        and len(whole) >= _MOSTLY * len(inner)
        and sum(map(len, whole)) >= _LETTERS * len(whole)
    )
    alone = any('"' in map(str.strip, lines[index].split(how.delimiter)) for index in (start, numbers[-1] - 1))
    if likely and not literal.fault and is_smiles(literal.smiles) and not alone:
        return [literal], 1  # the quotes of two rows that have nothing to do with each other
    return [Row(number, fault=QUOTES) for number in (start + 1, *numbers)], span.taken


def _quotes_cells(line: str, delimiter: str | None) -> bool:
    """True if a cell of the line is in quotes before one begins whose quotes do not close on it."""
    closed = False
    for cell in line.split(delimiter or ","):
        whole = _WHOLE_CELL.fullmatch(cell) is not None
        if cell.startswith('"') and not whole:
            return closed
        closed |= whole
    return False
