"""Reading a file of molecules, in whatever form it comes: every row of it is read, rejected with its line, or blank."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rdkit import rdBase

from fedmol import files
from fedmol.data import columns, delimited, parquet, smiles_lines, structures
from fedmol.data.delimited import Row
from fedmol.data.text_encoding import decode
from fedmol.data.unfolding import unfold
from fedmol.errors import bad_data

SMILES_SUFFIXES = frozenset({".smi", ".smiles", ".ism", ".cxsmiles", ".can", ".txt"})
_STRUCTURES = frozenset({".sdf", ".sd", ".mol"})
_LARGEST = 8 << 30  # bytes of a file
_MOLFILE_ENDS, _RECORD_ENDS = "M  END", "$$$$"
_COUNTS = re.compile(r"^[ \d]{6}.*V[23]000\s*$")
_PAGE = "<"  # that no table and no SMILES begins with
_JSON = "{", "[{", '["'


@dataclass(frozen=True)
class Table:
    """The SMILES of a source, one entry per row that is not blank, none left out."""

    source: str  # file path, "embedded" or "qm9"
    column: str  # "" where there are none
    smiles: tuple[str, ...]  # as they stand in the source, "" where there is none
    lines: Sequence[int]  # line of the source, counted from 1; of a Parquet file the row
    faults: dict[int, str] = field(default_factory=dict)  # index of a row that could not be told -> why
    blank: int = 0  # rows with nothing in them

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, rows: Sequence[int]) -> Table:
        """These rows alone, in this order."""
        faults = {k: self.faults[row] for k, row in enumerate(rows) if row in self.faults}
        smiles, lines = tuple(self.smiles[row] for row in rows), array("q", (self.lines[row] for row in rows))
        return Table(self.source, self.column, smiles, lines, faults)


def read_bytes(path: Path, names: Sequence[str] = ()) -> bytes:
    """The file's content as it lies on the disk; `names` are what could be said in the place of a file.

    Raises:
        FedmolError: BAD_DATA if it is not there, is a folder or may not be read.
    """
    try:
        return files.read_bytes(path, _LARGEST, follow=True)
    except FileNotFoundError:
        others = f", or {' or '.join(names)}" if names else ""
        raise bad_data(f"there is no file {path}", f"name an existing file of molecules{others}") from None
    except IsADirectoryError:
        raise bad_data(f"{path} is a folder, not a file", "name the file of molecules inside it") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise bad_data(
            f"{path} cannot be read: {why}", "make the file readable for the user that runs fedmol"
        ) from None


def parse_table(path: Path, content: bytes, column: str) -> Table:
    """`read_table` from the file's bytes."""
    name, content = unfold(path, content)
    with rdBase.BlockLogs():
        if content.startswith(parquet.MAGIC):
            column, rows = parquet.open_column(path, content, column)
        else:
            column, rows = _text_rows(path, Path(name), decode(path, content), column)
        return _table(path, column, rows)


def read_table(path: Path, column: str = columns.DEFAULT, names: Sequence[str] = ()) -> Table:
    """Every row of a file of molecules; `names`, as for `read_bytes`.

    - Tables (comma, tab, semicolon or bar; with a header): the SMILES stand in `column`, which is found whatever its
      case and padding, and as `canonical_smiles` and the like too. A number names it where there is no header: then
      every line is a row, the first one too.
    - SMILES files (.smi, .smiles, .ism, .cxsmiles, .can, .txt): the first word of a line counts, and a CXSMILES
      extension; the rest is its name. A first line that says "smiles" is a header. A .txt file may be a table.
    - SDF and molfiles, known by content, which have no columns. Parquet.

    Packed with gzip, bzip2, xz, zstandard, or alone in a zip archive, all known by content.

    Raises:
        FedmolError: BAD_DATA if the file is not there, empty, damaged, of another kind, or has no such column (the
            message lists those there are).
    """
    return parse_table(path, read_bytes(path, names), column)


def _text_rows(path: Path, name: Path, text: str, column: str) -> tuple[str, Iterator[Row]]:
    """The column's name, and the rows."""
    lines = delimited.lines_of(path, text)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise bad_data(f"{path} is empty", "name a file with molecules in it")
    suffix = name.suffix.lower()
    if _MOLFILE_ENDS in text and (suffix in _STRUCTURES or (_RECORD_ENDS in lines and _is_structures(lines))):
        if columns.plain(column) != columns.DEFAULT:
            raise bad_data(
                f"{path} holds structures (SDF), which have no column {column!r}",
                "leave the column out (--column on the command line, data.column in the settings)",
            )
        return "", structures.rows_of(lines)
    _refuse_pages(path, first)
    if column.isdecimal():
        how = delimited.by_number(path, lines, int(column))
    elif suffix in SMILES_SUFFIXES and columns.plain(column) == columns.DEFAULT and not _is_table(first, column):
        _refuse_blanks(path, first.split())
        return columns.DEFAULT, smiles_lines.rows_of(lines)
    else:
        how = delimited.dialect(path, lines, column)
    return how.column, delimited.rows_of(lines, how)


def _is_structures(lines: list[str]) -> bool:
    """True if the fourth line is the one with the counts of a molfile."""
    return len(lines) > 3 and _COUNTS.search(lines[3]) is not None


def _is_table(first: str, column: str) -> bool:
    """True if a file whose name says SMILES has a header in which these do not come first, as ChEMBL's.

    Bars make a table in any order: a bar after a SMILES would begin its extension.
    """
    headers = {delimiter: first.split(delimiter) for delimiter in "\t,;|"}
    if len(headers["|"]) > 1 and columns.called(headers["|"], column):
        return True
    return any(0 not in (columns.find(names, column) or [0]) for names in headers.values())


def _refuse_blanks(path: Path, words: list[str]) -> None:
    """A header such as `code smiles`: names have blanks in them, too, so that no row's cells could be told."""
    if columns.DEFAULT in map(columns.plain, words[1:]) and columns.DEFAULT not in columns.plain(words[0]):
        raise bad_data(
            f"{path} separates its columns by blanks, and the SMILES do not come first",
            "put the SMILES first, or separate the columns by tabs or commas",
        )


def _refuse_pages(path: Path, first: str) -> None:
    begin = first.lstrip().lower()
    if begin.startswith(_PAGE):
        raise bad_data(
            f"{path} is a page (HTML or XML), not a table", "look at it: a server may have sent it in place of the file"
        )
    if begin.startswith(_JSON) or begin.rstrip() == "[":
        raise bad_data(f"{path} is JSON, which fedmol does not read", "export the molecules as CSV, SMILES or SDF")


def _table(path: Path, column: str, rows: Iterable[Row]) -> Table:
    smiles, lines, faults, blank = list[str](), array("q"), dict[int, str](), 0
    for row in rows:
        if row.blank:
            blank += 1
            continue
        if row.fault:
            faults[len(smiles)] = row.fault
        smiles.append(row.smiles)
        lines.append(row.line)
    if not smiles:
        raise bad_data(f"{path} has no rows with molecules", "name a file with molecules in it")
    return Table(str(path), column, tuple(smiles), lines, faults, blank)
