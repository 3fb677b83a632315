"""A run is over at a site when its log says so and the model is the file that was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.run_folder import RunFolder
from fedmol.telemetry.events.run_events import RunFinished
from fedmol.telemetry.log import EventLog
from fedmol.training.model_file import load_model
from fedmol_collaborator.run_end import RunEnd, keep, run_end_of
from tests.support.aggregator_folder import State


@pytest.fixture
def events(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl", run="r", site="north")


@pytest.fixture
def kept(tmp_path: Path, events: EventLog) -> Path:
    """A site's folder with the final model."""
    run = State(tmp_path / "aggregator")
    keep(RunFolder(tmp_path), run.settings, run.agreement, run.weights, 3, events)
    return tmp_path


def test_without_a_log_nothing_has_ended(tmp_path: Path) -> None:
    assert run_end_of(RunFolder(tmp_path), "r") == RunEnd()
    assert not RunEnd().over
    assert RunEnd().held is None


def test_a_model_that_was_written_is_held_and_the_run_over_once_that_is_told(kept: Path, events: EventLog) -> None:
    digest = load_model(kept / RunFolder.model.name).meta["digest"]
    found = run_end_of(RunFolder(kept), "r")
    assert (found.held, found.told, found.over) == (digest, False, False)
    events.write(RunFinished(model_digest=digest))
    assert run_end_of(RunFolder(kept), "r").over


def test_another_run_has_not_ended_by_that(kept: Path) -> None:
    assert run_end_of(RunFolder(kept), "other") == RunEnd()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"), "the digest differs"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
        (lambda path: (path.rename(path.with_name("moved")), path.symlink_to("moved")), "cannot be read"),
    ],
    ids=["missing", "changed", "folder", "link"],
)
def test_a_model_that_is_not_what_was_written_is_not_held(
    kept: Path, events: EventLog, damage: object, said: str
) -> None:
    assert callable(damage)
    events.write(RunFinished(model_digest="d" * 64))
    damage(kept / RunFolder.model.name)
    found = run_end_of(RunFolder(kept), "r")
    assert found.damage is not None
    assert said in found.damage
    assert found.held is None
    assert not found.over
    assert found.model_digest is not None
