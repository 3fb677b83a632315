"""What is written is byte for byte what earlier versions wrote, and what they wrote is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.telemetry.events import KINDS
from fedmol.telemetry.log import read, verify
from tests.golden import events


@pytest.mark.parametrize("name", events.LOGS)
def test_a_log_is_written_as_it_was(tmp_path: Path, name: str) -> None:
    before = (events.FOLDER / f"{name}.jsonl").read_bytes()
    assert events.written(name, tmp_path).splitlines() == before.splitlines()


@pytest.mark.parametrize("name", events.LOGS)
def test_a_log_is_read(name: str) -> None:
    path = events.FOLDER / f"{name}.jsonl"
    assert verify(path) == len(list(read(path)))


def test_every_kind_is_in_a_log() -> None:
    """A new one: write it at the end of `aggregator` or `site`, then `python -m tests.golden.record logs`."""
    found = {event.kind for name in events.LOGS for event in read(events.FOLDER / f"{name}.jsonl")}
    assert found == set(KINDS)
