"""A site's own files damaged between two starts: the same model as without, or a refusal that names the file."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedmol.cli.main import run as fedmol
from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.telemetry.events.round_events import RoundFinished, RoundStarted
from fedmol.telemetry.events.run_events import StateDamaged
from fedmol.telemetry.events.site_events import AgreementReached
from fedmol.telemetry.log import verify
from tests.support.stage import AGGREGATOR, DISTURBED, Stage, small_settings

Build = Callable[[Settings], Stage]
LITTLE_ROOM = DISTURBED / "little_room.py"
SITE = "fedmol_collaborator.site_training:SiteTraining"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2 * len(content) // 3] ^= 1
    path.write_bytes(content)


def _stopped(stage: Build, target: str, when: str, nth: int, number: str) -> Stage:
    """West is away, at the nth call of `target`; the others wait for it. A round has four steps."""
    run = stage(small_settings())
    run.start(AGGREGATOR, "model")
    run.crash("west", f"{SITE}.{target}", when, nth, number)
    assert run.wait("west") in (Exit.TERMINATED, -signal.SIGKILL)
    return run


def _goes_on_as_if_nothing_had_happened(run: Stage, undisturbed: Stage) -> None:
    run.start("west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
    assert run.checkpoint(3).tobytes() == undisturbed.checkpoint(3).tobytes()


def test_a_damaged_broken_off_round_is_trained_from_its_start(undisturbed: Stage, stage: Build) -> None:
    run = _stopped(stage, "_show", "after", 6, "SIGTERM")
    partial = run.folder / "sites" / "west" / "state" / "partial.safetensors"
    _flip(partial)
    _goes_on_as_if_nothing_had_happened(run, undisturbed)
    assert [event.body.file for event in run.events(StateDamaged, "west")] == [str(partial)]


def test_a_damaged_finished_round_that_was_not_sent_is_trained_again(undisturbed: Stage, stage: Build) -> None:
    run = _stopped(stage, "train", "after", 2, "SIGKILL")
    trained = run.folder / "sites" / "west" / "state" / "round-0002.safetensors"
    _flip(trained)
    _goes_on_as_if_nothing_had_happened(run, undisturbed)
    assert [event.body.file for event in run.events(StateDamaged, "west")] == [str(trained)]


@pytest.mark.parametrize("damage", [_flip, Path.unlink], ids=["damaged", "missing"])
def test_without_the_round_before_the_site_ends_and_names_the_file(
    stage: Build, damage: Callable[[Path], None]
) -> None:
    run = _stopped(stage, "_show", "before", 6, "SIGKILL")
    damage(run.folder / "sites" / "west" / "state" / "round-0001.safetensors")
    run.start("west")
    assert run.wait("west") == Exit.STATE_UNUSABLE
    assert "round-0001.safetensors" in run.log("west")


def test_without_the_newest_round_the_site_does_not_go_on_from_an_older_one(stage: Build) -> None:
    run = _stopped(stage, "_show", "before", 10, "SIGKILL")  # in round 3
    (run.folder / "sites" / "west" / "state" / "round-0002.safetensors").unlink()
    run.start("west")
    assert run.wait("west") == Exit.STATE_UNUSABLE
    assert "round-0002.safetensors is missing" in run.log("west")


def test_a_full_disk_ends_the_site_by_its_code_and_costs_no_more_than_the_round(
    undisturbed: Stage, stage: Build
) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR, "model")
    west = run.parties["west"]
    run.parties["west"] = replace(west, command=[sys.executable, str(LITTLE_ROOM), "200000", *west.command[2:]])
    run.start("west")
    assert run.wait("west") == Exit.STORAGE
    assert "round-0001.safetensors" in run.log("west")
    run.parties["west"] = west
    _goes_on_as_if_nothing_had_happened(run, undisturbed)
    assert verify(run.events_path("west"))


def test_a_damaged_cache_of_the_shard_is_made_again(undisturbed: Stage, stage: Build) -> None:
    run = _stopped(stage, "_show", "before", 6, "SIGKILL")
    (cache,) = (run.folder / "sites" / "west" / "cache").iterdir()
    content = cache.read_bytes()
    _flip(cache)
    _goes_on_as_if_nothing_had_happened(run, undisturbed)
    assert cache.read_bytes() == content


def _with_flag(run: Stage, flag: str) -> None:
    """West starts with one more argument from now on."""
    party = run.parties["west"]
    run.parties["west"] = replace(party, command=[*party.command, flag])


def test_a_site_that_has_lost_what_it_did_says_so_and_goes_on_only_when_told(stage: Build) -> None:
    run = _stopped(stage, "train", "after", 2, "SIGKILL")
    folder = run.folder / "sites" / "west"
    shutil.rmtree(folder / "state")
    for name in ("events.jsonl", "owner.json"):
        (folder / name).unlink()
    run.start("west")
    assert run.wait("west") == Exit.STATE_UNUSABLE
    assert "holds nothing of round 1, in which an update of this site counted" in run.log("west")
    _with_flag(run, "--start-over")
    run.start("west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")


def test_other_molecules_are_asked_about_and_taken_when_both_sides_mean_it(stage: Build) -> None:
    run = _stopped(stage, "train", "after", 2, "SIGKILL")
    shard, before = run.folder / "sites" / "west" / "shard.csv", run.events(AgreementReached)[0].body.molecules
    shard.write_text("".join(shard.read_text().splitlines(keepends=True)[:-20]))
    run.start("west")
    assert run.wait("west") == Exit.SHARD_CHANGED
    assert f"{before['west']} molecules for training then" in run.log("west")
    _with_flag(run, "--new-shard")
    run.start("west")
    assert run.wait("west") == Exit.SHARD_CHANGED  # the coordinator has not accepted it
    run.signal(AGGREGATOR, signal.SIGTERM)
    assert run.wait(AGGREGATOR) == Exit.TERMINATED
    change = ["change", str(run.folder / AGGREGATOR), "--ca", str(run.folder / "certs" / "authority")]
    assert fedmol([*change, "--from-round", "2", "--quorum", "1"]) == 0  # which then closes without west
    assert fedmol([*change, "--from-round", "3", "--quorum", "2", "--accept-shard", "west"]) == 0
    run.start(AGGREGATOR)
    run.wait_for(RoundStarted, lambda event: event.round == 3)
    run.start("west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
    after = run.events(AgreementReached)[-1].body.molecules
    assert after["west"] < before["west"]
    assert after["model"] == before["model"]
    weights = run.events(RoundFinished)[-1].body.weights
    assert weights["west"] == after["west"] / sum(after.values())
