"""A little of each fuzzer; `python -m tests.fuzz` does more of it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz import FUZZERS
from tests.fuzz.target import reference


@pytest.fixture(scope="module")
def expected() -> bytes:
    return reference()


@pytest.mark.parametrize("name", FUZZERS)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found(name: str, seed: int, expected: bytes, tmp_path: Path) -> None:
    assert FUZZERS[name](tmp_path / "run", random.Random(seed), expected) > 50
