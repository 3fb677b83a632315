"""kill -9 at every bad moment: the run goes on, and ends with the same model to the last bit."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.telemetry.events.round_events import RoundFinished, UpdateRefused
from fedmol.telemetry.events.run_events import RunFinished
from fedmol.telemetry.events.site_events import SiteLost, SiteReturned, TrainingStep
from tests.support.stage import AGGREGATOR, Stage, small_settings

Build = Callable[[Settings], Stage]

SITE = "fedmol_collaborator.site_training:SiteTraining"
CLIENT = "fedmol_collaborator.openfl_adapter.client:FederationClient"
ENGINE = "fedmol.fl.engine:RoundEngine"
UPLOAD = "fedmol.fl.uploads:Reception"
UPLOADS = "fedmol.fl.uploads:UploadStore"
CHECKPOINTS = "fedmol.fl.checkpoints:Checkpoints"
STRATEGY = "fedmol.fl.strategies:FedAvg"


@pytest.mark.parametrize(
    ("party", "target", "when", "nth"),
    [
        pytest.param("west", f"{SITE}._show", "before", 6, id="site-in-training"),
        pytest.param("west", f"{SITE}.train", "after", 2, id="site-between-training-and-upload"),
        pytest.param("model", f"{CLIENT}.send_local_task_results", "after", 4, id="site-after-upload"),
        pytest.param(AGGREGATOR, f"{UPLOAD}.section", "after", 3, id="aggregator-mid-upload"),
        pytest.param(AGGREGATOR, f"{UPLOAD}.keep", "after", 7, id="aggregator-mid-round"),
        pytest.param(AGGREGATOR, f"{STRATEGY}.step", "after", 2, id="aggregator-while-averaging"),
        pytest.param(AGGREGATOR, f"{CHECKPOINTS}.save", "before", 2, id="aggregator-before-the-commit"),
        pytest.param(AGGREGATOR, f"{CHECKPOINTS}.save", "after", 2, id="aggregator-after-the-commit"),
        pytest.param(AGGREGATOR, f"{UPLOADS}.keep_from", "after", 2, id="aggregator-between-rounds"),
        pytest.param(AGGREGATOR, f"{ENGINE}.begin", "before", 3, id="aggregator-before-the-next-round"),
        pytest.param(AGGREGATOR, f"{CHECKPOINTS}.save", "after", 3, id="aggregator-at-the-very-end"),
    ],
)
def test_killed_and_started_again(
    undisturbed: Stage, stage: Build, party: str, target: str, when: str, nth: int
) -> None:
    run = stage(small_settings())
    run.start(*(name for name in run.parties if name != party))
    run.crash(party, target, when, nth)
    assert run.wait(party) == -signal.SIGKILL
    run.start(party)
    codes = {name: run.wait(name) for name in (AGGREGATOR, party)}
    assert codes == {AGGREGATOR: 0, party: 0}, run.log(party)
    assert [event.round for event in run.events(RoundFinished)] == [1, 2, 3]
    assert run.checkpoint(3).tobytes() == undisturbed.checkpoint(3).tobytes()


def test_sigterm_saves_a_site_in_mid_round_and_it_goes_on_there(undisturbed: Stage, stage: Build) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR, "model")
    run.crash("west", f"{SITE}._show", "after", 6, "SIGTERM")
    assert run.wait("west") == Exit.TERMINATED
    assert "asked to stop at step 2 of round 2" in run.log("west")
    run.start("west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    steps = [event.body.step for event in run.events(TrainingStep, "west") if event.round == 2]
    assert steps == sorted(set(steps))  # none was taken twice
    assert run.checkpoint(3).tobytes() == undisturbed.checkpoint(3).tobytes()


def test_a_local_method_holds_in_a_round_that_was_broken_off(undisturbed: Stage, stage: Build) -> None:
    settings = small_settings(local_method={"name": "fedprox", "mu": 0.5})
    whole, broken = stage(settings), stage(settings)
    whole.start()
    assert {name: whole.wait(name) for name in whole.parties} == dict.fromkeys(whole.parties, 0)
    broken.start(AGGREGATOR, "model")
    broken.crash("west", f"{SITE}._show", "after", 6, "SIGTERM")
    assert broken.wait("west") == Exit.TERMINATED
    broken.start("west")
    assert {name: broken.wait(name) for name in broken.parties} == dict.fromkeys(broken.parties, 0)
    assert broken.checkpoint(3).tobytes() == whole.checkpoint(3).tobytes() != undisturbed.checkpoint(3).tobytes()


def test_sigterm_stops_the_aggregator_with_its_state_and_it_goes_on(undisturbed: Stage, stage: Build) -> None:
    run = stage(small_settings())
    run.start()
    run.wait_for(RoundFinished, lambda event: event.round == 1)
    run.signal(AGGREGATOR, signal.SIGTERM)
    assert run.wait(AGGREGATOR) == Exit.TERMINATED
    run.start(AGGREGATOR)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    assert run.checkpoint(3).tobytes() == undisturbed.checkpoint(3).tobytes()


def three_sites(**changes: Any) -> Settings:
    sites = [{"name": "east"}, {"name": "model"}, {"name": "west"}]
    return small_settings(sites=sites, rounds={"quorum": 2, "lost_after": 4}, **changes)


def test_a_site_that_never_comes_back_does_not_stop_the_quorum(stage: Build) -> None:
    run = stage(three_sites())
    run.start(AGGREGATOR, "east", "model")
    run.crash("west", f"{SITE}.train", "before", 2)
    assert run.wait("west") == -signal.SIGKILL
    assert {name: run.wait(name) for name in (AGGREGATOR, "east", "model")} == {AGGREGATOR: 0, "east": 0, "model": 0}
    assert [event.site for event in run.events(SiteLost)] == ["west"]
    assert [event.body.missing for event in run.events(RoundFinished)] == [[], ["west"], ["west"]]
    finished = run.events(RunFinished)[0].body
    assert (finished.outcome, finished.missing, finished.missed_rounds) == ("quorum", ["west"], {"west": 2})


def test_a_paused_site_comes_back_and_counts_again(stage: Build) -> None:
    run = stage(three_sites(training={"rounds": 60}))
    run.start()
    run.wait_for(RoundFinished, lambda event: event.round == 2)
    run.signal("west", signal.SIGSTOP)
    run.wait_for(SiteLost, lambda event: event.site == "west")
    run.wait_for(RoundFinished, lambda event: event.body.missing == ["west"])
    run.signal("west", signal.SIGCONT)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    assert [event.site for event in run.events(SiteReturned)] == ["west"]
    missing = [event.body.missing for event in run.events(RoundFinished)]
    assert missing[0] == missing[-1] == []
    assert ["west"] in missing
    finished = run.events(RunFinished)[0].body
    assert (finished.outcome, finished.missing) == ("quorum", [])
    assert finished.missed_rounds == {"west": missing.count(["west"])}


def test_a_poisoned_update_is_refused_before_it_counts(stage: Build) -> None:
    run = stage(three_sites())
    run.start(AGGREGATOR, "east", "model")
    run.poison("west", round=2)
    assert run.wait("west") == Exit.UPDATE_REFUSED
    assert {name: run.wait(name) for name in (AGGREGATOR, "east", "model")} == {AGGREGATOR: 0, "east": 0, "model": 0}
    refused = run.events(UpdateRefused)
    assert [(event.site, event.round) for event in refused] == [("west", 2)]
    assert "not finite" in refused[0].body.reason
    assert [sorted(event.body.weights) for event in run.events(RoundFinished)][1:] == [["east", "model"]] * 2
    assert np.isfinite(run.checkpoint(3)).all()


def test_too_few_sites_end_the_run_with_its_own_code(stage: Build) -> None:
    run = stage(small_settings(rounds={"join_deadline": 6}))
    run.start(AGGREGATOR, "model")
    assert run.wait(AGGREGATOR) == Exit.QUORUM_LOST
    assert "quorum" in run.log(AGGREGATOR)


def test_a_site_without_an_aggregator_gives_up_at_its_deadline(stage: Build) -> None:
    run = stage(small_settings(network={"give_up_after": 3}))
    run.start("model")
    assert run.wait("model") == Exit.AGGREGATOR_UNREACHABLE
    assert "cure:" in run.log("model")


def test_a_second_aggregator_on_the_port_is_refused(stage: Build) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR)
    run.wait_until_it_serves()
    second = run.parties[AGGREGATOR]
    command = [*second.command[:-1], str(run.folder / "second")]
    run.parties["second"] = type(second)("second", command, run.folder / "second.log", 1)
    run.start("second")
    assert run.wait("second") == Exit.ADDRESS_IN_USE
