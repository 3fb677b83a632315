"""Refusals in the aggregator's log: each kind by name, and however often it is repeated, few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.telemetry.events.site_events import SiteRefused
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.queries import logged
from fedmol_aggregator.refusal_log import RefusalLog

REFUSAL = FedmolError(Exit.UNKNOWN_RUN, "another run", "ask")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def events(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl", run="r", site="aggregator")


def _lines(events: EventLog) -> list[tuple[str, str, int]]:
    return [(event.site, event.body.reason, event.body.times) for event in logged(events.path, SiteRefused)]


def test_what_is_refused_is_logged_by_name_and_raised(events: EventLog) -> None:
    def check() -> None:
        raise REFUSAL

    with pytest.raises(FedmolError) as caught:
        RefusalLog(events).checking("north", check)
    assert caught.value is REFUSAL
    assert _lines(events) == [("north", "unknown-run", 1)]


def test_what_passes_is_handed_on_without_a_line(events: EventLog) -> None:
    assert RefusalLog(events).checking("north", lambda: 7) == 7
    assert _lines(events) == []


def test_a_caller_without_a_name_or_with_a_long_one_is_logged(events: EventLog) -> None:
    log = RefusalLog(events)
    log.refused(None, REFUSAL)
    log.refused("n" * 100, REFUSAL)
    assert [site for site, _, _ in _lines(events)] == ["nobody", "n" * 64]


def test_repeats_add_up_in_a_line_a_minute(events: EventLog) -> None:
    clock = Clock()
    log = RefusalLog(events, clock)
    for _ in range(10):
        log.refused("north", REFUSAL)
    clock.now = 61.0
    log.refused("north", REFUSAL)
    assert _lines(events) == [("north", "unknown-run", 1), ("north", "unknown-run", 10)]
    log.refused("south", REFUSAL)
    assert len(_lines(events)) == 3
