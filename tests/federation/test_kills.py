"""kill -9 of everybody at random: thirty runs, each with the same model to the last bit."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest

from fedmol.fl.federation import Settings
from fedmol.telemetry.events.round_events import RoundFinished
from tests.support.stage import Stage, small_settings

Build = Callable[[Settings], Stage]

RUNS, KILLS = 30, 6


@pytest.mark.long
@pytest.mark.parametrize("seed", range(RUNS))
def test_killed_at_random(undisturbed: Stage, stage: Build, seed: int) -> None:
    chance, run = random.Random(seed), stage(small_settings())
    run.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.5, 6.0))
        party = run.parties[chance.choice(list(run.parties))]
        if party.code is None:
            run.signal(party.name, signal.SIGKILL)
            if run.wait(party.name) == -signal.SIGKILL:  # and has not ended in that moment
                run.start(party.name)
    for name in run.parties:
        if run.wait(name) == -signal.SIGKILL:
            run.start(name)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    assert [event.round for event in run.events(RoundFinished)] == [1, 2, 3]
    assert run.checkpoint(3).tobytes() == undisturbed.checkpoint(3).tobytes()
