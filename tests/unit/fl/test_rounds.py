from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.fl.liveness import Liveness
from fedmol.fl.rounds import RoundRule
from fedmol.telemetry.log import EventLog, read


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl", run="r", site="aggregator")


def _rule(clock: Clock, events: EventLog, quorum: int) -> RoundRule:
    sites = ["a", "b", "c"]
    return RoundRule(sites, quorum, 100.0, Liveness(sites, 10.0, events, clock), clock=clock)


def test_a_round_waits_for_living_sites(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=2)
    clock.now = 9
    assert not rule.may_close({"a", "b"})
    assert rule.may_close({"a", "b", "c"})


def test_a_lost_site_is_not_waited_for_once_the_quorum_is_there(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=2)
    clock.now = 11
    rule.liveness.seen("a")
    rule.liveness.seen("b")
    assert not rule.may_close({"a"})
    assert rule.may_close({"a", "b"})
    assert [(event.kind, event.site) for event in read(events.path)] == [("site_lost", "c")]


def test_without_a_quorum_smaller_than_all_nothing_closes_early(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=3)
    clock.now = 1000
    assert not rule.may_close({"a", "b"})
    assert rule.hopeless({"a", "b"})


def test_the_deadline_closes_a_round_with_a_quorum_of_living_sites(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=2)
    clock.now = 101
    for site in "abc":
        rule.liveness.seen(site)
    assert rule.may_close({"a", "b"})
    assert not rule.hopeless({"a", "b"})
    rule.restart()
    assert not rule.may_close({"a", "b"})


def test_a_site_that_comes_back_is_waited_for_again(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=2)
    clock.now = 11
    for site in "ab":
        rule.liveness.seen(site)
    assert rule.may_close({"a", "b"})
    rule.liveness.seen("c")
    assert not rule.may_close({"a", "b"})
    assert [event.kind for event in read(events.path)] == ["site_lost", "site_returned"]


def test_a_site_that_said_it_failed_is_not_waited_for(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=2)
    rule.liveness.left("c")
    assert rule.may_close({"a", "b"})


def test_the_grace_after_the_quorum_closes_a_round_without_a_living_site(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=2)

    def after(seconds: float) -> bool:
        clock.now = seconds
        for site in "abc":
            rule.liveness.seen(site)
        return rule.may_close({"a", "b"})

    assert not after(20)  # the quorum took 20 s, and as long again is waited for the third
    assert not after(39)
    assert after(41)
    rule.restart()
    assert not after(43)
    assert not after(52)  # at least 10 s are waited
    assert after(54)


def test_failed_sites_make_a_quorum_of_all_hopeless_before_the_deadline(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=3)
    rule.liveness.left("c")
    clock.now = 9
    assert not rule.hopeless({"a", "b"})  # it may be started again
    clock.now = 11
    assert rule.hopeless({"a", "b"})
    rule.liveness.seen("c")
    assert not rule.hopeless({"a", "b"})


def test_a_site_that_failed_after_it_reported_still_counts(clock: Clock, events: EventLog) -> None:
    rule = _rule(clock, events, quorum=3)
    rule.liveness.left("a")
    clock.now = 11
    assert not rule.hopeless({"a", "b"})
