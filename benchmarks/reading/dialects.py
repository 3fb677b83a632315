"""The same rows in every form that holds many of them, written by other programs than fedmol."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas
from rdkit import Chem, rdBase

BAD = "nonsense", "CC(C)(C)(C)C", "CCO.CCN", "C[U]C"  # no SMILES, a carbon of five bonds, a mixture, an element
_EVERY = 20  # molecules, after which comes a row that is none, is blank, or has been there before
_COLUMNS = "name", "smiles"


@dataclass(frozen=True)
class Row:
    name: str
    smiles: str  # "" of a blank row

    @property
    def cells(self) -> list[str]:
        return [self.name, self.smiles] if self.smiles else []


@dataclass(frozen=True)
class Dialect:
    file: str
    by: str  # which program writes it
    write: Callable[[Path, Sequence[Row]], None]
    holds_blank: bool = True


def rows_of(molecules: Sequence[str]) -> list[Row]:
    """The molecules with names, and among them bad rows, blank ones and molecules once more."""
    rows = list[Row]()
    for k, smiles in enumerate(molecules):
        rows.append(Row(f"compound {k}, dried", smiles))
        if k % _EVERY == _EVERY - 1:
            turn, kind = divmod(k // _EVERY, 3)
            others = BAD[turn % len(BAD)], "", molecules[k // 2]
            rows.append(Row(f"row {k}" if others[kind] else "", others[kind]))
    return rows


def _csv(path: Path, rows: Sequence[Row], encoding: str = "utf-8", first: str = "", **how: Any) -> None:
    path.write_bytes(_text(rows, first, **how).encode(encoding))


def _text(rows: Sequence[Row], first: str = "", **how: Any) -> str:
    text = io.StringIO(first, newline="")
    text.seek(0, io.SEEK_END)
    csv.writer(text, **{"lineterminator": "\n", **how}).writerows([_COLUMNS, *(row.cells for row in rows)])
    return text.getvalue()


def _packed(pack: Callable[[bytes], bytes], path: Path, rows: Sequence[Row]) -> None:
    path.write_bytes(pack(_text(rows).encode()))


def _broken(path: Path, rows: Sequence[Row]) -> None:
    _csv(path, [Row(row.name.replace(", ", "\n"), row.smiles) for row in rows])


def _frame(rows: Sequence[Row]) -> pandas.DataFrame:
    cells = [(row.name or None, row.smiles or None) for row in rows]
    return pandas.DataFrame(cells, columns=list(_COLUMNS), dtype="str")


def _pandas(path: Path, rows: Sequence[Row], **how: Any) -> None:
    _frame(rows).to_csv(path, index=False, **how)


def _duckdb(how: str, path: Path, rows: Sequence[Row]) -> None:
    with duckdb.connect(config={"threads": 1}) as database:
        database.register("molecules", _frame(rows))
        database.execute(f"COPY molecules TO '{path}' ({how})")


def _smi(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(f"{row.smiles} {row.name}\n" if row.smiles else "\n" for row in rows))


def _records(rows: Sequence[Row], v3000: bool = False) -> bytes:
    with rdBase.BlockLogs():
        return "".join(_record(row, v3000) for row in rows).encode()


def _record(row: Row, v3000: bool) -> str:
    mol = Chem.MolFromSmiles(row.smiles) if row.smiles else None
    kekulize = mol is not None
    if mol is None and row.smiles:
        mol = Chem.MolFromSmiles(row.smiles, sanitize=False)
    if mol is None:
        return f"{row.smiles}\n$$$$\n"  # a record that nobody can read, or a blank one
    mol.SetProp("_Name", row.name)
    return str(Chem.SDWriter.GetText(mol, kekulize=kekulize, force_v3000=v3000))


def _sdf(path: Path, rows: Sequence[Row], v3000: bool = False) -> None:
    path.write_bytes(_records(rows, v3000))


def _sdf_gz(path: Path, rows: Sequence[Row]) -> None:
    path.write_bytes(gzip.compress(_records(rows)))


PLAIN = "commas"
DIALECTS: dict[str, Dialect] = {
    PLAIN: Dialect("a.csv", "csv", _csv),
    "tabs": Dialect("a.tsv", "csv", partial(_csv, delimiter="\t")),
    "semicolons": Dialect("a.csv", "pandas", partial(_pandas, sep=";")),
    "bars": Dialect("a.txt", "pandas", partial(_pandas, sep="|")),
    "all cells in quotes": Dialect("a.csv", "csv", partial(_csv, quoting=csv.QUOTE_ALL)),
    "line breaks in names": Dialect("a.csv", "csv", _broken),
    "a first line `sep=;`": Dialect("a.csv", "csv", partial(_csv, first="sep=;\n", delimiter=";")),
    "line ends CR": Dialect("a.csv", "csv", partial(_csv, lineterminator="\r")),
    "line ends CRLF": Dialect("a.csv", "csv", partial(_csv, lineterminator="\r\n")),
    "UTF-8 with a mark": Dialect("a.csv", "pandas", partial(_pandas, encoding="utf-8-sig")),
    "UTF-16 with a mark": Dialect("a.csv", "pandas", partial(_pandas, encoding="utf-16")),
    "UTF-16 without a mark, little-endian": Dialect("a.csv", "csv", partial(_csv, encoding="utf-16-le")),
    "UTF-16 without a mark, big-endian": Dialect("a.csv", "csv", partial(_csv, encoding="utf-16-be")),
    "gzip": Dialect("a.csv.gz", "pandas", partial(_pandas, compression="gzip")),
    "bzip2": Dialect("a.csv.bz2", "csv", partial(_packed, bz2.compress)),
    "xz": Dialect("a.csv.xz", "csv", partial(_packed, lzma.compress)),
    "zstandard": Dialect("a.csv.zst", "DuckDB", partial(_duckdb, "FORMAT csv, HEADER, COMPRESSION zstd")),
    "zip": Dialect("a.csv.zip", "pandas", partial(_pandas, compression="zip")),
    "SMILES with names": Dialect("a.smi", "Python", _smi),
    "SDF, V2000": Dialect("a.sdf", "RDKit", _sdf),
    "SDF, V3000": Dialect("a.sdf", "RDKit", partial(_sdf, v3000=True)),
    "SDF, gzip": Dialect("a.sdf.gz", "RDKit", _sdf_gz),
    # A cell without a value is rejected as empty there: rows of one column cannot be told blank.
    "Parquet": Dialect("a.parquet", "DuckDB", partial(_duckdb, "FORMAT parquet"), holds_blank=False),
}
