"""The examples in docstrings are right."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "aggregator", "collaborator")


def _modules_with_examples() -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT / package).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for path in (ROOT / package).glob("fedmol*/**/*.py")
        if ">>> " in path.read_text()
    )


@pytest.mark.parametrize("name", _modules_with_examples())
def test_examples_give_what_they_say(name: str) -> None:
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted
    assert not outcome.failed
