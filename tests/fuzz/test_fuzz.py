"""A little of each fuzzer; `python -m tests.fuzz` does more of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import stored, uploads
from tests.fuzz.target import reference


@pytest.fixture(scope="module")
def expected() -> bytes:
    return reference()


@pytest.mark.parametrize("fuzz", [uploads.fuzz, stored.fuzz], ids=["uploads", "stored"])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found(fuzz: Callable[..., int], seed: int, expected: bytes, tmp_path: Path) -> None:
    assert fuzz(tmp_path / "run", random.Random(seed), expected) > 50
