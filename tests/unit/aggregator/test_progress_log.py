from __future__ import annotations

from itertools import cycle, pairwise

import pytest

from fedmol_aggregator.progress_log import BURST, EVERY, PHASES, ProgressLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


ROUND = ["receiving model", "validating", "training", "sending", "waiting for the others", "catching up"]


def test_whoever_alternates_phases_1500_times_a_second_gets_few_events() -> None:
    clock = Clock()
    signs = ProgressLog(clock)
    told, hour, pace = 0, 3600.0, 1500
    for number, phase in zip(range(int(hour) * pace // 100), cycle(["training", "sending"]), strict=False):
        clock.now = 100 * number / pace
        told += signs.worth_an_event("north", phase, 1)
    assert told <= BURST + hour / EVERY + PHASES


@pytest.mark.parametrize("seconds", [8.0, 24.0, 60.0, 600.0])
def test_every_phase_of_an_honest_site_is_told(seconds: float) -> None:
    """It reports once a second, and enters six phases a round, of which training takes nearly all the time."""
    clock, shown = Clock(), list[str]()
    signs = ProgressLog(clock)
    rounds = 30
    for number in range(1, rounds + 1):
        began = clock.now
        for phase in ROUND:
            until = clock.now + (seconds - 6 if phase == "training" else 1.0)
            while clock.now < until:
                if signs.worth_an_event("north", phase, number) and (not shown or shown[-1] != phase):
                    shown.append(phase)
                clock.now += 1.0
        assert clock.now - began == pytest.approx(seconds, abs=2)
    assert shown == ROUND * rounds


def test_a_site_that_stays_in_a_phase_is_heard_of_every_few_seconds_for_ever() -> None:
    clock, times = Clock(), list[float]()
    signs = ProgressLog(clock)
    for second in range(3600):
        clock.now = float(second)
        if signs.worth_an_event("north", "training", 1):
            times.append(clock.now)
    assert max(b - a for a, b in pairwise(times)) <= 8.0


def test_one_site_s_reports_take_nothing_from_another_s() -> None:
    signs = ProgressLog(Clock())
    for _ in range(100):
        signs.worth_an_event("north", "training", 1)
        signs.worth_an_event("north", "sending", 1)
    assert signs.worth_an_event("south", "training", 1)
