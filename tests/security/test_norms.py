"""An update that moves the model much further than is usual does not count, and ends nobody (row S9)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fedmol.fl.federation import Settings
from fedmol.fl.payload import Vector
from fedmol.telemetry.events.round_events import RoundFinished, RoundOpened, UpdateNotCounted
from fedmol.telemetry.events.run_events import RunFinished
from tests.support.attacker import ATTACKER
from tests.support.light import Build, Light, light_settings
from tests.support.stage import AGGREGATOR, DISTURBED, Stage, small_settings

TIMES = 9.9


def against(light: Light) -> Vector:
    """What the attacker's honest update would undo, 9.9 times."""
    step = light.update(ATTACKER) - light.model
    return np.asarray(light.model - np.float32(TIMES) * step, np.float32)


@pytest.mark.parametrize("sites", [("east", "west"), ("east", "model", "north", "west")], ids=len)
def test_a_large_step_against_the_others_does_not_count(light: Build, sites: tuple[str, ...]) -> None:
    one = light(light_settings(*sites, length=4))
    one.open()
    honest = [site for site in sites if site != ATTACKER]
    for round in (1, 2, 3, 4):
        if round == 2:
            assert one.play().body.excluded == []
            continue
        one.validate(ATTACKER)
        one.train(ATTACKER, against(one))
        one.report(*honest)
        finished = one.close(honest)
        assert (finished.body.excluded, finished.body.missing) == ([ATTACKER], [])
        if round < 4:
            opening = one.members[ATTACKER].opening()
            assert (opening.round, opening.last_counted) == (round + 1, None if round == 1 else 2)
            assert "max_update_norm_ratio" in str(opening.reason)
    told = one.stage.events(UpdateNotCounted)
    assert [(event.site, event.round) for event in told] == [(ATTACKER, 1), (ATTACKER, 3), (ATTACKER, 4)]
    assert all((event.body.norm or 0) > (event.body.limit or 0) > 0 for event in told)
    ended = one.finish()
    assert (ended.body.outcome, ended.body.missing) == ("quorum", [ATTACKER])


def test_of_four_sites_one_cannot_make_room_for_itself(light: Build) -> None:
    """An attacker that grows little by little does not raise the limit: the others' moves decide."""
    one = light(light_settings("east", "model", "north", "west"))
    one.open()
    honest, counted = ["east", "model", "north"], list[bool]()
    for move in (0.3, 0.6, 0.9, 1.2, 1.5, 3.0):
        one.validate(ATTACKER)
        update = one.update(ATTACKER, move)
        one.train(ATTACKER, update)
        one.report(*honest)
        finished = one.stage.wait_for(RoundFinished, lambda event: event.round == one.round)
        counted.append(ATTACKER in finished.body.weights)
        everyone = one.sites if counted[-1] else honest
        one.close(everyone, {site: update if site == ATTACKER else one.update(site) for site in everyone})
    assert counted == [True, True, True, False, False, False]


def test_a_real_site_whose_updates_are_turned_round_goes_on_and_does_not_count(
    stage: Callable[[Settings], Stage],
) -> None:
    run = stage(small_settings())
    west = run.parties[ATTACKER]
    script = str(DISTURBED / "turned_round.py")
    run.parties[ATTACKER] = replace(west, command=[sys.executable, script, "1,3", str(-TIMES), *west.command[2:]])
    run.start()
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log(ATTACKER)
    finished = run.events(RoundFinished)
    assert [event.body.excluded for event in finished] == [[ATTACKER], [], [ATTACKER]]
    assert [sorted(event.body.weights) for event in finished] == [["model"], ["model", "west"], ["model"]]
    assert [event.body.counted for event in run.events(RoundOpened, ATTACKER)] == [None, False, True]
    assert run.events(RunFinished, AGGREGATOR)[0].body.outcome == "quorum"
