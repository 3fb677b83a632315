"""A site's own files damaged between two starts: the same model as without, or a refusal that names the file."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from stage import AGGREGATOR, Stage, small_settings

from fedmol.errors import Exit
from fedmol.federation.settings import Settings

Build = Callable[[Settings], Stage]
SITE = "fedmol_collaborator.site_training:SiteTraining"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2 * len(content) // 3] ^= 1
    path.write_bytes(content)


def _stopped_in_round_2(stage: Build, target: str, when: str, nth: int, number: str) -> Stage:
    """West is away, in the middle of round 2; the others wait for it."""
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
    run = _stopped_in_round_2(stage, "_show", "after", 6, "SIGTERM")
    partial = run.folder / "sites" / "west" / "state" / "partial.safetensors"
    _flip(partial)
    _goes_on_as_if_nothing_had_happened(run, undisturbed)
    assert [event.fields["file"] for event in run.events("state_damaged", "west")] == [str(partial)]


def test_a_damaged_finished_round_that_was_not_sent_is_trained_again(undisturbed: Stage, stage: Build) -> None:
    run = _stopped_in_round_2(stage, "train", "after", 2, "SIGKILL")
    trained = run.folder / "sites" / "west" / "state" / "round-0002.safetensors"
    _flip(trained)
    _goes_on_as_if_nothing_had_happened(run, undisturbed)
    assert [event.fields["file"] for event in run.events("state_damaged", "west")] == [str(trained)]


@pytest.mark.parametrize("damage", [_flip, Path.unlink], ids=["damaged", "missing"])
def test_without_the_round_before_the_site_ends_and_names_the_file(
    stage: Build, damage: Callable[[Path], None]
) -> None:
    run = _stopped_in_round_2(stage, "_show", "before", 6, "SIGKILL")
    damage(run.folder / "sites" / "west" / "state" / "round-0001.safetensors")
    run.start("west")
    assert run.wait("west") == Exit.STATE_UNUSABLE
    assert "round-0001.safetensors" in run.log("west")


def test_a_damaged_cache_of_the_shard_is_made_again(undisturbed: Stage, stage: Build) -> None:
    run = _stopped_in_round_2(stage, "_show", "before", 6, "SIGKILL")
    for cache in (run.folder / "sites" / "west" / "cache").iterdir():
        _flip(cache)
    _goes_on_as_if_nothing_had_happened(run, undisturbed)
