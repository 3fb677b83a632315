from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedmol.telemetry.events.site_events import SiteRefused
from fedmol.telemetry.log import Event, EventLog
from fedmol.telemetry.queries import logged
from fedmol.telemetry.repeats import OTHERS, Repeats


class Said:
    def __init__(self, folder: Path, most: int = 8) -> None:
        self.now = 0.0
        self.log = EventLog(folder / "events.jsonl", run="r", site="aggregator")
        self.repeats = Repeats(self.log, most, lambda: self.now)

    def refuse(self, site: str | None = "north", reason: str = "usage", detail: str = "x") -> None:
        self.repeats.note(SiteRefused(reason=reason, detail=detail), site, reason)

    @property
    def events(self) -> list[Event[SiteRefused]]:
        return list(logged(self.log.path, SiteRefused))

    @property
    def times(self) -> list[int]:
        return [event.body.times for event in self.events]


@pytest.fixture
def said(tmp_path: Path) -> Said:
    return Said(tmp_path)


def test_the_first_is_told_at_once_and_the_rest_once_a_minute_with_how_often(said: Said) -> None:
    for tenth in range(1800):  # three minutes, ten a second
        said.now = tenth / 10
        said.refuse(detail=str(tenth))
    said.now = 180.0
    said.repeats.settle()
    assert said.times == [1, 600, 600, 599]
    assert [event.body.detail for event in said.events] == ["0", "600", "1200", "1799"]


def test_what_is_still_counted_is_told_at_the_end(said: Said) -> None:
    for _ in range(3):
        said.refuse()
    said.repeats.settle(everything=True)
    assert said.times == [1, 2]


def test_after_a_quiet_minute_the_next_one_is_told_at_once_again(said: Said) -> None:
    said.refuse()
    said.now = 61.0
    said.repeats.settle()
    said.refuse()
    assert said.times == [1, 1]


def test_sites_and_reasons_are_told_apart_up_to_a_number_and_then_together(said: Said) -> None:
    for number in range(100):
        said.refuse(f"site-{number}")
    said.repeats.settle(everything=True)
    assert [event.site for event in said.events] == [*(f"site-{number}" for number in range(8)), OTHERS, OTHERS]
    assert sum(said.times) == 100


def test_what_adds_up_says_when_it_last_happened(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when it was written, which is up to a minute later."""
    for second in (7, 8, 9):
        monkeypatch.setattr("fedmol.telemetry.repeats.stamp", lambda second=second: f"2026-01-01T00:00:0{second}+00:00")
        said.refuse()
    before = datetime.now(UTC)
    said.repeats.settle(everything=True)
    first, summed = said.events
    assert "last" not in first.body.said()
    assert summed.body.last == "2026-01-01T00:00:09+00:00"
    assert abs((datetime.fromisoformat(summed.time) - before).total_seconds()) < 60


def test_when_it_last_happened_is_told_in_the_log_s_own_format(said: Said) -> None:
    for _ in range(2):
        said.refuse()
    said.repeats.settle(everything=True)
    summed = said.events[-1]
    assert summed.body.last is not None
    assert len(summed.body.last) == len(summed.time)
    assert summed.body.last <= summed.time
