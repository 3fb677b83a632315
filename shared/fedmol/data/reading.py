"""Reading a site's own file of molecules: CSV or SMILES lines, plain or gzip, told apart by content."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedmol import files
from fedmol.errors import Exit, FedmolError

SMILES_SUFFIXES = frozenset({".smi", ".smiles", ".ism", ".txt"})
_DELIMITERS = ",\t;"
_LONGEST_CELL = 1 << 17
_LONGEST_LINE = 1 << 20  # characters
_LARGEST = 8 << 30  # bytes of a file
_FREE, _UNFOLDING = 64 << 20, 100  # bytes that any gzip may unpack to, and how many times its size a large one may
_PIECE = 4 << 20  # bytes
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet)",
    b"\xfd7zXZ": "xz-compressed",
    b"BZh": "bzip2-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"7z\xbc\xaf": "a 7z archive",
    b"PAR1": "a Parquet file",
}


@dataclass(frozen=True)
class Table:
    """The SMILES column of a source, one entry per data row, none left out."""

    source: str  # file path, "embedded" or "qm9"
    column: str
    smiles: tuple[str, ...]  # as they stand in the source, "" where there is none
    lines: tuple[int, ...]  # line of the source, counted from 1

    def __len__(self) -> int:
        return len(self.smiles)

    def take(self, rows: list[int]) -> Table:
        return Table(self.source, self.column, tuple(self.smiles[i] for i in rows), tuple(self.lines[i] for i in rows))


def _bad(message: str, cure: str) -> FedmolError:
    return FedmolError(Exit.BAD_DATA, message, cure)


def is_smiles_file(path: Path) -> bool:
    """True if the name says that there is one SMILES per line; any other file is read as CSV with a header."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return bool(suffixes) and suffixes[-1] in SMILES_SUFFIXES


def read_bytes(path: Path) -> bytes:
    """The file's content as it lies on the disk.

    Raises:
        FedmolError: BAD_DATA if it is not there, is a folder or may not be read.
    """
    try:
        return files.read_bytes(path, _LARGEST, follow=True)
    except FileNotFoundError:
        raise _bad(
            f"there is no file {path}", "name an existing CSV or SMILES file, or one of the sources embedded, qm9"
        ) from None
    except IsADirectoryError:
        raise _bad(f"{path} is a folder, not a file", "name the CSV or SMILES file inside it") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise _bad(f"{path} cannot be read: {why}", "make the file readable for the user that runs fedmol") from None


def _text(path: Path, content: bytes) -> str:
    for magic, kind in _FOREIGN.items():
        if content.startswith(magic):
            raise _bad(f"{path} is {kind}, which fedmol does not unpack", "unpack it first; only gzip is read as it is")
    if content.startswith(b"\x1f\x8b"):
        try:
            content = _unpacked(path, content)
        except (OSError, EOFError, zlib.error) as error:
            raise _bad(
                f"{path} is a damaged gzip file: {error}", "copy the file again from where it came from"
            ) from None
    if b"\0" in content:
        raise _bad(
            f"{path} is not a text file (it contains zero bytes)", "export the molecules as CSV or SMILES in UTF-8"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(
            f"{path} is not UTF-8 text (byte {error.start})", "save the file again with the encoding UTF-8"
        ) from None


def _unpacked(path: Path, packed: bytes) -> bytes:
    """What the gzip file holds, in pieces, so that one made to fill the memory is noticed long before it does."""
    most, size = max(_FREE, _UNFOLDING * len(packed)), 0
    pieces: list[bytes] = []
    with gzip.open(io.BytesIO(packed)) as file:
        while piece := file.read(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise _bad(
                    f"{path} unpacks to more than {most:,} bytes, {_UNFOLDING} times its size, which molecules do not",
                    "look at what is in it, and unpack it first if it is right",
                )
    return b"".join(pieces)


def _check_lines(path: Path, rows: list[str]) -> None:
    if max(map(len, rows)) > _LONGEST_LINE:
        line = next(number for number, row in enumerate(rows, start=1) if len(row) > _LONGEST_LINE)
        raise _bad(
            f"{path}, line {line} has more than {_LONGEST_LINE:,} characters",
            "write one molecule a line, and leave out columns that are not needed",
        )


def _header(path: Path, line: str, column: str) -> tuple[str, int]:
    """Delimiter and index of the column."""
    delimiter = max(_DELIMITERS, key=line.count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    if names.count(column) == 1:
        return delimiter, names.index(column)
    listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    if column in names:
        raise _bad(
            f"{path} has more than one column {column!r}; its columns are: {listed}", "rename all but one of them"
        )
    raise _bad(
        f"{path} has no column {column!r}; its columns are: {listed}",
        "set the column to one of these (data.column in the settings, --column on the command line); "
        "a file without a header, one SMILES per line, must be named .smi",
    )


def _csv_cells(path: Path, lines: list[str], column: str) -> Iterator[tuple[int, str]]:
    start = next(i for i, line in enumerate(lines) if line.strip())
    delimiter, index = _header(path, lines[start], column)
    csv.field_size_limit(_LONGEST_CELL)
    records = csv.reader(lines[start + 1 :], delimiter=delimiter, strict=True)
    first = start + 2
    try:
        for record in records:
            yield first, record[index].strip() if index < len(record) else ""
            first = start + 2 + records.line_num
    except csv.Error as error:
        raise _bad(f"{path}, line {first}: {error}", "correct the quotes in that row") from None


def _smiles_cells(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        words = line.split(maxsplit=1)
        if number > 1 or not words or "smiles" not in words[0].lower():  # which no SMILES spells
            yield number, words[0] if words else ""


def parse_table(path: Path, content: bytes, column: str) -> Table:
    """`read_table` from the file's bytes."""
    text = _text(path, content).rstrip()
    if not text:
        raise _bad(f"{path} is empty", "name a file with molecules in it")
    rows = list(io.StringIO(text, newline=None))
    _check_lines(path, rows)
    cells = list(_smiles_cells(rows) if is_smiles_file(path) else _csv_cells(path, rows, column))
    if not cells:
        raise _bad(f"{path} has a header but no rows", "name a file with molecules in it")
    lines, smiles = zip(*cells, strict=True)
    return Table(str(path), column, smiles, lines)


def read_table(path: Path, column: str = "smiles") -> Table:
    """Every row of a CSV file (comma, tab or semicolon; with header) or of a SMILES file (.smi, .smiles, .ism, .txt).

    Gzip is recognised by content, not by name. In a SMILES file the first word of a line counts and the rest is its
    name; a first line that says "smiles" is a header. A blank line or a row too short for the column is an empty cell;
    blank lines at the end are not rows.

    Raises:
        FedmolError: BAD_DATA if the file is not there, empty, in a foreign compression, not text, damaged, or has no
            such column (the message lists those there are).
    """
    return parse_table(path, read_bytes(path), column)
