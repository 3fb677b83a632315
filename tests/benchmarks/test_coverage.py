"""The page of coverage adds up what coverage.py has counted."""

from __future__ import annotations

import pytest

from benchmarks import coverage
from fedmol import formats


def _summary(statements: int, covered: int, branches: int, taken: int) -> dict[str, dict[str, int]]:
    return {
        "summary": {
            "num_statements": statements,
            "covered_lines": covered,
            "num_branches": branches,
            "covered_branches": taken,
        }
    }


MEASURED = {
    "files": {
        "shared/fedmol/files.py": _summary(10, 10, 0, 0),
        "shared/fedmol/chem/standardise.py": _summary(60, 60, 20, 10),
        "shared/fedmol/chem/__init__.py": _summary(0, 0, 0, 0),
        "aggregator/fedmol_aggregator/openfl_adapter/server.py": _summary(8, 1, 2, 0),
    }
}


def test_statements_and_branches_add_up_by_package_and_in_all() -> None:
    found = coverage.figures(MEASURED)
    assert {name: (one["statements"], one["branches"], one["value"]) for name, one in found.items()} == {
        "package/single modules": (10, 0, 1.0),
        "package/chem": (60, 20, 70 / 80),
        "package/aggregator": (8, 2, 0.1),
        "package/total": (78, 22, 0.81),
        "module/aggregator/fedmol_aggregator/openfl_adapter/server.py": (8, 2, 0.1),
    }
    assert found["package/chem"]["modules"] == 2


@pytest.fixture
def page() -> list[str]:
    told = {"command": "make coverage", "commit": "abcdef0123"}
    return coverage.render({name: {**one, **told} for name, one in coverage.figures(MEASURED).items()}).splitlines()


def test_the_page_has_a_row_for_each_package_and_names_modules_of_which_little_is_reached(page: list[str]) -> None:
    assert f"| chem | 2 | 60 | 20 | {formats.percent(0.875)} |" in page
    assert f"| **all** | 4 | 78 | 22 | {formats.percent(0.81)} |" in page
    assert f"| `aggregator/fedmol_aggregator/openfl_adapter/server.py` | 8 | 2 | {formats.percent(0.1)} |" in page
    assert not [line for line in page if "standardise" in line]
