"""Every form in which molecules come, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.data.molecule_files import read_table
from tests.support.dialects import DIALECTS, Dialect

DOCUMENT = Path(__file__).parents[3] / "docs" / "molecules.md"


@pytest.mark.parametrize("dialect", DIALECTS, ids=[one.row for one in DIALECTS])
def test_each_is_read_row_by_row(tmp_path: Path, dialect: Dialect) -> None:
    path = tmp_path / dialect.name
    path.write_bytes(dialect.content)
    table = read_table(path, dialect.column)
    read = [row for row in range(len(table)) if row not in table.faults]
    assert tuple(table.smiles[row] for row in read) == dialect.smiles
    assert {table.lines[row]: fault for row, fault in table.faults.items()} == dialect.faults
    assert table.blank == dialect.blank
    if dialect.lines is not None:
        assert tuple(table.lines[row] for row in read) == dialect.lines


def test_the_documentation_has_a_row_for_each() -> None:
    table = DOCUMENT.read_text().partition("tests/support/dialects.py -->")[2].partition("<!-- end -->")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.strip().splitlines()[2:]]
    assert rows == [one.row for one in DIALECTS]
