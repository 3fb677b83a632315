"""Random tables, written by other tools and read back: no row is lost, and none is changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdkit import Chem

from fedmol.data.molecule_files import Table, read_table
from fedmol.errors import FedmolError

MOLECULES = [
    "CCO",
    "N",
    "c1ccccc1",
    "F/C=C\\F",
    "[NH4+]",
    "C[C@H](N)C(=O)O",
    "CC |&1:0|",
    "C#N",
    "O=[N+]([O-])c1ccccc1",
]
# Lines of a cell that look like rows can mean two things: test_dialects.py has them.
ANY_TEXT = st.text("abN C,;\t|\"'#é\\", max_size=12) | st.text("abN C\"'\n#é\\", max_size=12)
ROWS = st.lists(
    st.tuples(ANY_TEXT, st.sampled_from(MOLECULES), st.sampled_from(["", "5", "1,5"])), min_size=1, max_size=8
)
NAMES = "name", "smiles", "value"

property_test = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(table: Table, rows: list[tuple[str, str, str]]) -> None:
    assert not table.faults
    assert list(table.smiles) == [smiles for _, smiles, _ in rows]
    assert list(table.lines) == sorted(set(table.lines))


def canonical(smiles: Iterable[str]) -> list[str]:
    return [Chem.MolToSmiles(Chem.MolFromSmiles(one)) for one in smiles]


@property_test
@given(
    rows=ROWS,
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ends=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)
def test_by_csv(tmp_path: Path, rows: list[Any], delimiter: str, quoting: Any, ends: str, encoding: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=ends).writerows([NAMES, *rows])
    path = tmp_path / "table.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    check(read_table(path), rows)


@property_test
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.sampled_from(["N", "CCO", "a b", ",", ";", '"', "'", "\n"]), max_size=9)
            .map("".join)
            .filter(lambda text: text.count("\n") < 3),
            st.sampled_from(["CC", "CCN", "c1ccccc1"]),
        ),
        min_size=1,
        max_size=5,
    ),
    first=st.booleans(),
    delimiter=st.sampled_from(",;"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_no_row_is_made_of_text(
    tmp_path: Path, rows: list[tuple[str, str]], first: bool, delimiter: str, quoting: Any
) -> None:
    """However much a cell's lines look like rows: what cannot be told is rejected."""
    text, written = io.StringIO(), {}
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    for name, smiles in [("name", "smiles"), *rows]:
        written[text.getvalue().count("\n") + 1] = smiles
        writer.writerow([smiles, name] if first else [name, smiles])
    path = tmp_path / "table.csv"
    path.write_text(text.getvalue())
    table = read_table(path)
    read = {table.lines[row]: table.smiles[row] for row in range(len(table)) if row not in table.faults}
    assert read.items() <= written.items()
    if quoting == csv.QUOTE_ALL and first:
        assert not table.faults


@property_test
@given(
    rows=ROWS,
    separator=st.sampled_from(",;\t"),
    index=st.booleans(),
    compression=st.sampled_from([None, "gzip", "bz2", "xz", "zip"]),
)
def test_by_pandas(tmp_path: Path, rows: list[Any], separator: str, index: bool, compression: Any) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame(rows, columns=list(NAMES)).to_csv(path, sep=separator, index=index, compression=compression)
    check(read_table(path), rows)


@property_test
@given(rows=ROWS, form=st.sampled_from(["FORMAT csv", "FORMAT csv, DELIMITER '\t'", "FORMAT parquet"]))
def test_by_duckdb(tmp_path: Path, rows: list[Any], form: str) -> None:
    path = tmp_path / "table"
    with duckdb.connect() as database:
        database.execute("CREATE TABLE t (name VARCHAR, smiles VARCHAR, value VARCHAR)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        database.execute(f"COPY t TO '{path}' ({form})")
    check(read_table(path), rows)


@property_test
@given(rows=ROWS)
def test_by_rdkit(tmp_path: Path, rows: list[Any]) -> None:
    path = tmp_path / "table.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for name, smiles, value in rows:
            mol = Chem.MolFromSmiles(smiles)
            mol.SetProp("_Name", " ".join(name.split()))
            mol.SetProp("value", value)
            writer.write(mol)
    table = read_table(path)
    assert not table.faults
    assert canonical(table.smiles) == canonical(smiles.split()[0] for _, smiles, _ in rows)


@pytest.mark.parametrize("count", [1, 3])
@property_test
@given(data=st.data())
def test_any_bytes_at_all_are_read_or_refused_by_name(tmp_path: Path, count: int, data: st.DataObject) -> None:
    path = tmp_path / data.draw(st.sampled_from(["a.csv", "a.smi", "a.sdf", "a.txt", "a"]))
    pieces = st.sampled_from(
        [b"smiles", b"name", b",", b"\t", b'"', b"\n", b"\r", b"CCO", b"C", b" ", b"\xff\xfe", b"\0", b"|"]
    )
    path.write_bytes(b"".join(data.draw(st.lists(pieces, max_size=30 * count))))
    try:
        table = read_table(path)
    except FedmolError as error:
        said = error.message + error.cure
    else:
        said = f"{path}: {len(table) + table.blank} rows"
        assert len(table) + table.blank <= path.read_bytes().count(b"\n") + path.read_bytes().count(b"\r") + 1
    assert path.name in said
