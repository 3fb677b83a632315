"""A site that comes back to a running run with another shard is refused by the aggregator, and the run goes on (R5)."""

from __future__ import annotations

import signal
from collections.abc import Callable

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.telemetry.events.round_events import RoundStarted
from fedmol.telemetry.events.site_events import AgreementReached, SiteRefused
from tests.support.stage import AGGREGATOR, PATIENCE, Stage, small_settings


def test_another_shard_at_a_site_is_refused_and_the_right_one_goes_on(
    stage: Callable[[Settings], Stage], undisturbed: Stage
) -> None:
    run = stage(small_settings())
    run.start()
    run.wait_for(RoundStarted, lambda event: event.round == 2)
    run.signal("west", signal.SIGKILL)
    assert run.wait("west") == -signal.SIGKILL
    # From a folder of its own, in which nothing tells the site that it had another shard before.
    other = run.intruder("west", shard=str(run.folder / "sites" / "model" / "shard.csv"))
    other.start()
    assert other.process is not None
    assert other.process.wait(PATIENCE) == Exit.SHARD_CHANGED, other.log.read_text()
    agreed = run.events(AgreementReached)[0].body.molecules
    said = other.last_words()
    assert f"began with {agreed['west']} molecules" in said
    assert Exit.SHARD_CHANGED.page in said
    assert [event.body.reason for event in run.events(SiteRefused)] == [Exit.SHARD_CHANGED.slug]
    run.start("west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    assert [event.body.molecules for event in run.events(AgreementReached)] == [agreed]
    ours, theirs = (one.folder / AGGREGATOR / "model.safetensors" for one in (run, undisturbed))
    assert ours.read_bytes() == theirs.read_bytes()
