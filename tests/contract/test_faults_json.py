"""docs/results/faults.json names, for every fault that was found, the tests that would find it again."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAULTS: dict[str, list[str]] = json.loads((ROOT / "docs/results/faults.json").read_text())
ROWS = (
    *(f"S{number}" for number in range(1, 17)),
    *(f"R{number}" for number in range(1, 10)),
    *(f"D{number}" for number in range(1, 13)),
)
LEFT_OUT = {"skip", "skipif", "xfail", "long", "cluster", "container"}  # marks of what CI does not always run


def _tests(path: Path) -> dict[str, set[str]]:
    """The file's tests, and the marks on each."""
    module = ast.parse(path.read_text())
    return {
        node.name: {
            part.attr for mark in node.decorator_list for part in ast.walk(mark) if isinstance(part, ast.Attribute)
        }
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_tests(row: str) -> None:
    assert FAULTS.get(row)


@pytest.mark.parametrize("row", FAULTS)
def test_every_test_that_is_named_is_there_and_runs_in_ci(row: str) -> None:
    assert len(set(FAULTS[row])) == len(FAULTS[row])
    for named in FAULTS[row]:
        file, _, name = named.partition("::")
        found = _tests(ROOT / file)
        assert name in found, named
        assert not found[name] & LEFT_OUT, named
