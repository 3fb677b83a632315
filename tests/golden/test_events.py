"""What is written is byte for byte what earlier versions wrote, and what they wrote is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fedmol.telemetry.events import KINDS
from fedmol.telemetry.log import EventLog, read, verify
from tests.golden import events

LOGS = {"aggregator": events.aggregator, "site": events.site}


@pytest.mark.parametrize(("name", "play"), LOGS.items(), ids=LOGS)
def test_a_log_is_written_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, play: Callable[[EventLog], None]
) -> None:
    monkeypatch.setattr("fedmol.telemetry.log.stamp", lambda: events.TIME)
    log = EventLog(tmp_path / "events.jsonl", run="golden", site="aggregator" if name == "aggregator" else "north")
    play(log)
    assert log.path.read_bytes().splitlines() == (events.FOLDER / f"{name}.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_read(name: str) -> None:
    path = events.FOLDER / f"{name}.jsonl"
    assert verify(path) == len(list(read(path)))


def test_every_kind_is_in_a_log() -> None:
    found = {event.kind for name in LOGS for event in read(events.FOLDER / f"{name}.jsonl")}
    assert found == set(KINDS)
