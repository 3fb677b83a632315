"""Parquet files: one column of text, its rows counted from 1."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from fedmol.data import columns
from fedmol.data.delimited import Row
from fedmol.errors import bad_data

MAGIC = b"PAR1"
_UNFOLDING, _FREE = 100, 64 << 20  # as of packed files

_NAMES = "SELECT name FROM parquet_schema(?) WHERE type IS NOT NULL"
_SIZE = "SELECT sum(total_uncompressed_size) FROM parquet_metadata(?) WHERE path_in_schema = ?"


def open_column(path: Path, content: bytes, column: str) -> tuple[str, Iterator[Row]]:
    """The name of the SMILES column, and its rows.

    Raises:
        FedmolError: BAD_DATA if the file is damaged, unfolds to far more than it is, or has no such column of text.
    """
    import duckdb

    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(content)
        file.flush()
        try:
            with duckdb.connect(config={"threads": 1}) as database:
                names = [str(name) for (name,) in database.execute(_NAMES, [file.name]).fetchall()]
                name = names[columns.require(path, names, column)]
                (size,) = database.execute(_SIZE, [file.name, name]).fetchone() or (0,)
                if int(size or 0) > max(_FREE, _UNFOLDING * len(content)):
                    raise bad_data(f"{path} unfolds to {size:,} bytes, which molecules do not", "look at what is in it")
                quoted = '"' + name.replace('"', '""') + '"'
                found = database.execute(f"SELECT {quoted} FROM read_parquet(?)", [file.name])
                kind, cells = str(found.description[0][1]), found.fetchall()
        except duckdb.Error as error:
            what = f"{path} is a damaged Parquet file: {str(error).splitlines()[0].replace(file.name, 'it')}"
            raise bad_data(what, "copy the file again from where it came from") from None
    if kind != "VARCHAR":
        raise bad_data(f"{path}: column {name!r} does not hold text but {kind}", "name the column with the SMILES")
    return name, (Row(number, (cell or "").strip()) for number, (cell,) in enumerate(cells, start=1))
