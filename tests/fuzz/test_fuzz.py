"""A little of each fuzzer; `python -m tests.fuzz` does more of it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.fuzzers import FUZZERS
from tests.fuzz.target import reference


@pytest.fixture(scope="module")
def expected() -> bytes:
    return reference()


@pytest.mark.parametrize("name", FUZZERS)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found(name: str, seed: int, expected: bytes, tmp_path: Path) -> None:
    assert FUZZERS[name](tmp_path / "run", random.Random(seed), expected) > 50


def test_the_command_runs_as_it_is_told() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", "0"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert "0 uploads, 0 restarts, 0 messages, 0 files in 0 minutes: nothing found" in done.stdout, done.stderr
