"""Parquet files: one column of text, its rows counted from 1."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from fedmol.data import columns
from fedmol.data.delimited import Row
from fedmol.errors import bad_data
from fedmol.extras import require

MAGIC = b"PAR1"
_UNFOLDING, _FREE = 100, 64 << 20  # as of packed files

_COLUMNS = "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet(?))"
_BYTES = "BLOB"  # as writers have it that do not say that their bytes are text
_TEXT = "VARCHAR", _BYTES
_SIZE = "SELECT sum(total_uncompressed_size) FROM parquet_metadata(?) WHERE path_in_schema = ?"


def open_column(path: Path, content: bytes, column: str) -> tuple[str, Iterator[Row]]:
    """The name of the SMILES column, and its rows.

    Raises:
        FedmolError: BAD_DATA if the file is damaged, unfolds to far more than it is, or has no such column of text.
            EXTRA_MISSING without the extra `parquet`.
    """
    require("parquet", f"{path} is a Parquet file, and reading it")
    import duckdb

    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(content)
        file.flush()
        try:
            with duckdb.connect(config={"threads": 1}) as database:
                kinds = {str(row[0]): str(row[1]) for row in database.execute(_COLUMNS, [file.name]).fetchall()}
                name = list(kinds)[columns.require(path, list(kinds), column)]
                if kinds[name] not in _TEXT:
                    raise bad_data(
                        f"{path}: column {name!r} does not hold text but {kinds[name]}",
                        "name a column of text with --column, or write the SMILES into one",
                    )
                (size,) = database.execute(_SIZE, [file.name, name]).fetchone() or (0,)
                if int(size or 0) > max(_FREE, _UNFOLDING * len(content)):
                    raise bad_data(f"{path} unfolds to {size:,} bytes, which molecules do not", "look at what is in it")
                quoted = '"' + name.replace('"', '""') + '"'
                text = f"decode({quoted})" if kinds[name] == _BYTES else quoted
                cells = database.execute(f"SELECT {text} FROM read_parquet(?)", [file.name]).fetchall()
        except duckdb.Error as error:
            what = f"{path} is a damaged Parquet file: {str(error).splitlines()[0].replace(file.name, 'it')}"
            raise bad_data(what, "copy the file again from where it came from") from None
    return name, (Row(number, (cell or "").strip()) for number, (cell,) in enumerate(cells, start=1))
