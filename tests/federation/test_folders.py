"""A working folder belongs to one party of one run, and to one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.local.processes import stop
from fedmol.telemetry.events.event_record import Record
from tests.support.stage import AGGREGATOR, PATIENCE, Stage, small_settings

Build = Callable[[Settings], Stage]


def start(stage: Stage, name: str, **replaced: object) -> tuple[int, str]:
    """The exit code and the words of one more process of a party, with some of its arguments replaced."""
    party = stage.parties[name]
    command = list(party.command)
    for option, value in replaced.items():
        command[command.index(f"--{option}") + 1] = str(value)
    more = replace(party, command=command, log=stage.folder / "other.log", process=None)
    more.start()
    assert more.process is not None
    try:
        return more.process.wait(PATIENCE), more.log.read_text()
    finally:
        stop([more])


def contents(folder: Path) -> dict[str, bytes]:
    skipped = ("alive", "lock")
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in skipped}


def test_two_processes_do_not_work_in_one_folder(stage: Build) -> None:
    run = stage(small_settings())
    run.start(AGGREGATOR, "west")
    for name in (AGGREGATOR, "west"):
        run.wait_for(Record, name=name)
        code, said = start(run, name)
        assert code == Exit.FOLDER_IN_USE
        assert "another process works in" in said
    run.start("model")
    assert {name: run.wait(name) for name in (AGGREGATOR, "west", "model")} == {AGGREGATOR: 0, "west": 0, "model": 0}


@pytest.mark.parametrize("name", [AGGREGATOR, "west"])
def test_a_finished_folder_answers_for_its_own_run_only(undisturbed: Stage, name: str) -> None:
    folder = undisturbed.events_path(name).parent
    before = contents(folder)
    code, said = start(undisturbed, name, run="another")
    assert code == Exit.STATE_UNUSABLE
    assert "of run 'stage'" in said
    assert contents(folder) == before


@pytest.mark.parametrize("other", ["model", AGGREGATOR])
def test_a_site_does_not_take_another_party_s_folder(undisturbed: Stage, other: str) -> None:
    folder = undisturbed.events_path(other).parent
    before = contents(folder)
    code, said = start(undisturbed, "west", work=folder)
    assert code == Exit.STATE_UNUSABLE
    who = "the aggregator" if other == AGGREGATOR else "site 'model'"
    assert f"is the working folder of {who} of run 'stage', not of site 'west'" in said
    assert contents(folder) == before


def test_the_aggregator_does_not_take_a_site_s_folder(undisturbed: Stage) -> None:
    folder = undisturbed.events_path("west").parent
    before = contents(folder)
    assert start(undisturbed, AGGREGATOR, work=folder)[0] == Exit.STATE_UNUSABLE
    assert contents(folder) == before
