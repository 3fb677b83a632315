"""Where the molecules of a simulated federation come from: made here, QM9, or a file."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedmol.data.embedded import embedded
from fedmol.data.molecule_files import Table, parse_table, read_bytes, read_table
from fedmol.errors import Exit, FedmolError
from fedmol.files import write_file
from fedmol.settings import DataSettings

_TIMEOUT = 60.0  # seconds without a byte


@dataclass(frozen=True)
class Original:
    """A public file, known by its content."""

    url: str
    name: str
    sha256: str


# QM9 (Ramakrishnan et al., Scientific Data 1, 140022, 2014; CC0) as MoleculeNet distributes it: 133,885 rows.
QM9 = Original(
    "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/qm9.csv",
    "qm9.csv",
    "3e668f8c34e4bc392a90d417a50a5eed3b64b842a817a633024bdc054c68ccb4",
)
# The same rows in the same order with the columns mol_id and smiles only, for hosts that cannot download.
QM9_EXTRACT_NAME = "qm9.csv.gz"
QM9_SMILES_SHA256 = "ac766f3b6f7047c2cbbed180e0b42df5a763d88e00ecf7008aff351d42a0c0d0"


def cache_folder() -> Path:
    """Where downloads are kept: `fedmol` in XDG_CACHE_HOME, by default in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedmol"


def _by_hand() -> str:
    return (
        f"on a machine with a network download {QM9.url}, put it as {QM9.name} into a folder "
        "and set FEDMOL_DATA to that folder; "
        "or use the source embedded, which needs no download"
    )


def _download(original: Original) -> bytes:
    try:
        with urllib.request.urlopen(original.url, timeout=_TIMEOUT) as answer:
            content: bytes = answer.read()
    except (OSError, ValueError) as error:  # URLError and time-outs are OSErrors
        raise FedmolError(
            Exit.BAD_DATA, f"QM9 could not be downloaded from {original.url}: {error}", _by_hand()
        ) from None
    if hashlib.sha256(content).hexdigest() != original.sha256:
        raise FedmolError(
            Exit.BAD_DATA,
            f"what came from {original.url} ({len(content)} bytes) is not QM9: its checksum differs",
            f"look whether a proxy answers in its place; {_by_hand()}",
        )
    return content


def _is_qm9(content: bytes, table: Table) -> bool:
    """True for the original file, or for any file whose column `smiles` is QM9's (SHA-256 over the joined lines)."""
    joined = "\n".join(table.smiles).encode()
    return QM9.sha256 == hashlib.sha256(content).hexdigest() or hashlib.sha256(joined).hexdigest() == QM9_SMILES_SHA256


def _qm9_in(folder: Path) -> Table | None:
    """QM9 from `folder`, None if neither of its two files is there."""
    for path in (folder / QM9_EXTRACT_NAME, folder / QM9.name):
        if path.exists():
            content = read_bytes(path)
            table = parse_table(path, content, "smiles")
            if _is_qm9(content, table):
                return table
            raise FedmolError(
                Exit.BAD_DATA,
                f"{path} is not QM9: its checksum differs ({len(table)} rows)",
                f"replace or remove it; {_by_hand()}",
            )
    return None


def qm9(cache: Path) -> Table:
    """All 133,885 SMILES of QM9 in the original order, from the folder FEDMOL_DATA, else from `cache`, else downloaded.

    FEDMOL_DATA may hold `qm9.csv` (the original) or `qm9.csv.gz` (its columns mol_id and smiles). Either is known by
    its content: the original by the file's SHA-256, any other by the SHA-256 over the newline-joined column `smiles`.

    Raises:
        FedmolError: BAD_DATA if a checksum differs or there is no network.
    """
    folder = os.environ.get("FEDMOL_DATA")
    table = (_qm9_in(Path(folder)) if folder else None) or _qm9_in(cache)
    if table is None:
        write_file(cache / QM9.name, _download(QM9))
        table = read_table(cache / QM9.name)
    return Table("qm9", table.column, table.smiles, table.lines)


def _limited(table: Table, limit: int | None, seed: int) -> Table:
    """A random choice, not the first rows: sources are often sorted by size."""
    if limit is None or limit >= len(table):
        return table
    return table.take(sorted(np.random.default_rng(seed).permutation(len(table))[:limit].tolist()))


def load(data: DataSettings, cache: Path | None = None, seed: int = 0) -> Table:
    """The table that `data.source` names: `embedded`, `qm9` or the path of a file of molecules.

    With `data.limit`, that many rows drawn with `seed`, in their order. `cache` holds downloads (`cache_folder()` when
    left out).

    Raises:
        FedmolError: BAD_DATA, see `qm9` and `fedmol.data.molecule_files.read_table`.
    """
    if data.source == "embedded":
        smiles = embedded()
        table = Table("embedded", "smiles", smiles, tuple(range(2, len(smiles) + 2)))
    elif data.source == "qm9":
        table = qm9(cache or cache_folder())
    else:
        table = read_table(Path(data.source).expanduser(), data.column, ("embedded", "qm9"))
    return _limited(table, data.limit, seed)


def write_table(path: Path, smiles: Sequence[str], column: str = "smiles") -> None:
    """A CSV file with one column that `read_table` reads back cell by cell, written whole or not at all.

    Raises:
        FedmolError: BAD_DATA if nothing can be written there.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[column], *([molecule] for molecule in smiles)])
    write_file(path, text.getvalue().encode(), 0o600)
