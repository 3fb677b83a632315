"""A site that hangs does not look alive, and one that slept does not look hung."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from fedmol import heartbeat
from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.telemetry.events.site_events import SiteHung, SiteLost
from tests.support.stage import AGGREGATOR, Stage, small_settings

Build = Callable[[Settings], Stage]
SITE = "fedmol_collaborator.site_training:SiteTraining"
SECONDS = 8.0


@pytest.mark.parametrize(
    ("target", "nth", "how"),
    [
        pytest.param(f"{SITE}._show", 6, "sleeping", id="in-training"),
        pytest.param(f"{SITE}._show", 6, "busy", id="busy-for-ever"),
        pytest.param("fedmol_collaborator.site_training:nll", 2, "sleeping", id="in-validation"),
        pytest.param("fedmol_collaborator.site_state:SiteState.save", 1, "sleeping", id="at-the-disk"),
        pytest.param("fedmol_collaborator.participation:open_shard", 1, "sleeping", id="reading-the-shard"),
    ],
)
def test_a_site_that_hangs_is_lost_says_where_and_goes_on_when_it_is_started_again(
    undisturbed: Stage, stage: Build, target: str, nth: int, how: str
) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR, "model")
    run.hang("west", target, nth, how, SECONDS)
    assert run.wait("west") == Exit.PROCESS_LOST, run.log("west")
    (hung,) = run.events(SiteHung, "west")
    assert "hang_at.py" in hung.body.detail
    assert (hung.body.seconds or 0) >= SECONDS
    assert "Thread" in run.log("west")  # every thread's stack
    run.start("west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
    assert run.checkpoint(3).tobytes() == undisturbed.checkpoint(3).tobytes()


def test_a_site_that_is_deaf_in_c_has_no_heartbeat_and_is_lost(stage: Build) -> None:
    sites = [{"name": "east"}, {"name": "model"}, {"name": "west"}]
    run = stage(small_settings(sites=sites, rounds={"quorum": 2, "lost_after": 6}))
    run.start(AGGREGATOR, "east", "model")
    run.hang("west", f"{SITE}._show", 6, "deaf", SECONDS)
    run.wait_for(SiteLost, lambda event: event.site == "west")
    age = heartbeat.age(run.folder / "sites" / "west")
    assert age is not None
    assert age > 5
    run.signal("west", signal.SIGKILL)


def test_a_site_that_was_stopped_for_longer_than_it_may_hang_goes_on_when_it_wakes(
    undisturbed: Stage, stage: Build
) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR, "model")
    run.hang("west", f"{SITE}._show", 6, "stopped", SECONDS)
    marker = run.folder / "hung-west"
    while not marker.exists():
        time.sleep(0.1)
    time.sleep(SECONDS + 4)
    run.signal("west", signal.SIGCONT)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
    assert not run.events(SiteHung, "west")
    assert run.checkpoint(3).tobytes() == undisturbed.checkpoint(3).tobytes()
