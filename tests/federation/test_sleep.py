"""Processes that sleep for longer than silence is allowed: only who was silent to others is lost (R8)."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from fedmol.fl.federation import Settings
from fedmol.telemetry.events.round_events import RoundFinished, UpdateReceived
from fedmol.telemetry.events.run_events import ClockStopped, RunFinished
from fedmol.telemetry.events.site_events import SiteLost, SiteReturned
from fedmol.telemetry.log import Event
from tests.support.stage import AGGREGATOR, Stage, small_settings

Build = Callable[[Settings], Stage]

LOST_AFTER = 8.0  # seconds
SITE = "fedmol_collaborator.site_training:SiteTraining"


def three_sites() -> Settings:
    sites = [{"name": name} for name in ("east", "model", "west")]
    return small_settings(sites=sites, rounds={"quorum": 2, "lost_after": LOST_AFTER, "grace": 60, "farewell": 600})


def test_an_aggregator_that_slept_drops_no_healthy_site(stage: Build) -> None:
    """It falls asleep when the quorum has reported and the third site has not, which trains when all wake up."""
    run = stage(three_sites())
    run.start(AGGREGATOR, "east", "model")
    run.crash("west", f"{SITE}.train", "before", 2, "SIGSTOP")
    reported = set[str]()

    def quorum(event: Event[UpdateReceived]) -> bool:
        if event.round == 2:
            reported.add(event.site)
        return len(reported) == 2

    run.wait_for(UpdateReceived, quorum)
    run.signal(AGGREGATOR, signal.SIGSTOP)
    time.sleep(2 * LOST_AFTER)
    run.signal("west", signal.SIGCONT)
    run.signal(AGGREGATOR, signal.SIGCONT)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    assert [event.body.missing for event in run.events(RoundFinished)] == [[], [], []]
    assert run.events(SiteLost) == []
    (slept,) = run.events(ClockStopped)
    assert (slept.body.seconds or 0) >= 2 * LOST_AFTER


def test_a_site_that_slept_is_lost_and_comes_back(stage: Build) -> None:
    run = stage(three_sites())
    run.start(AGGREGATOR, "east", "model")
    run.crash("west", f"{SITE}.train", "before", 2, "SIGSTOP")
    run.wait_for(SiteLost, lambda event: event.site == "west")
    run.wait_for(RunFinished)
    run.signal("west", signal.SIGCONT)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    assert [event.body.missing for event in run.events(RoundFinished)] == [[], ["west"], ["west"]]
    assert [event.site for event in run.events(SiteReturned)] == ["west"]
    models = {run.events_path(name).with_name("model.safetensors").read_bytes() for name in run.parties}
    assert len(models) == 1
