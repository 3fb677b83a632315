"""Every site ends with the model: the aggregator's file, byte for byte, whatever happens at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.telemetry.events.run_events import ModelDelivered, RunFinished, StateDamaged
from fedmol.training.assembly import MODEL_FILE
from tests.support.stage import AGGREGATOR, Stage, small_settings

Build = Callable[[Settings], Stage]


def model_of(run: Stage, name: str) -> Path:
    return run.events_path(name).with_name(MODEL_FILE)


def all_hold_the_model(run: Stage, *sites: str) -> None:
    whole = model_of(run, AGGREGATOR).read_bytes()
    (finished,) = run.events(RunFinished)
    for site in sites or run.sites:
        assert model_of(run, site).read_bytes() == whole, run.log(site)
        assert run.events(RunFinished, site)[-1].body.model_digest == finished.body.model_digest
    delivered = {event.site: event.body.model_digest for event in run.events(ModelDelivered)}
    assert delivered == dict.fromkeys(sites or run.sites, finished.body.model_digest)


def test_an_undisturbed_run_leaves_the_model_at_every_site(undisturbed: Stage) -> None:
    all_hold_the_model(undisturbed)


@pytest.mark.parametrize(
    ("target", "when"),
    [
        pytest.param("fedmol_collaborator.run_end:keep", "before", id="before-the-file"),
        pytest.param("fedmol.training.assembly:save_model", "after", id="between-file-and-log"),
        pytest.param("fedmol_collaborator.run_end:keep", "after", id="between-log-and-message"),
        pytest.param(
            "fedmol_collaborator.openfl_adapter.client:FederationClient.tell", "after", id="after-the-message"
        ),
    ],
)
def test_a_site_killed_at_the_end_holds_the_model_when_it_is_back(
    undisturbed: Stage, stage: Build, target: str, when: str
) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR, "model")
    run.crash("west", target, when)
    assert run.wait("west") == -signal.SIGKILL
    run.start("west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
    all_hold_the_model(run)
    assert model_of(run, "west").read_bytes() == model_of(undisturbed, "west").read_bytes()


def test_a_late_return_after_the_end_gets_the_model_and_so_does_a_damaged_file(stage: Build) -> None:
    three = [{"name": "east"}, {"name": "model"}, {"name": "west"}]
    run = stage(small_settings(sites=three, rounds={"quorum": 2, "lost_after": 4, "farewell": 25}))
    run.start(AGGREGATOR, "east", "model")
    run.crash("west", "fedmol_collaborator.site_training:SiteTraining.train", "before", 2)
    codes = {name: run.wait(name) for name in run.parties}
    assert codes == {AGGREGATOR: 0, "east": 0, "model": 0, "west": -signal.SIGKILL}
    all_hold_the_model(run, "east", "model")
    run.start(AGGREGATOR, "west")
    assert run.wait("west") == 0, run.log("west")
    whole = model_of(run, AGGREGATOR).read_bytes()
    assert model_of(run, "west").read_bytes() == whole
    east = model_of(run, "east")
    east.write_bytes(whole[:-7])
    run.start("east")
    assert run.wait("east") == 0, run.log("east")
    assert east.read_bytes() == whole
    assert run.events(StateDamaged, "east")
    assert run.wait(AGGREGATOR) == 0
    all_hold_the_model(run)


def test_a_finished_site_needs_nobody_and_one_without_its_file_says_which(undisturbed: Stage) -> None:
    undisturbed.start("west")
    assert undisturbed.wait("west") == 0
    path = model_of(undisturbed, "west")
    content = path.read_bytes()
    path.unlink()
    try:
        undisturbed.start("west")
        assert undisturbed.wait("west") == Exit.STATE_UNUSABLE
        assert str(path) in undisturbed.log("west")
    finally:
        path.write_bytes(content)
