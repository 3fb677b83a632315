from __future__ import annotations

import pytest

from fedmol.training import StepReport
from fedmol.training.throughput import Throughput


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def report(step: int, loss: float = 1.0, molecules: int = 10) -> StepReport:
    return StepReport(step, loss, 0.0, 0.0, molecules)


def test_speed_and_time_left_are_those_of_the_last_half_minute() -> None:
    clock = Clock()
    pace = Throughput(40, 400, clock)
    assert pace.seconds_left is None
    for step in range(40, 100):  # slow at first
        clock.now += 2
        pace.follow(report(step))
    assert pace.molecules_per_second == pytest.approx(5)
    assert pace.seconds_left == pytest.approx(300 * 2)
    for step in range(100, 200):
        clock.now += 0.5
        pace.follow(report(step))
    assert pace.molecules_per_second == pytest.approx(20)
    assert pace.seconds_left == pytest.approx(200 * 0.5)


def test_reports_of_many_steps_count_as_many() -> None:
    clock = Clock()
    single, joined = Throughput(0, 100, clock), Throughput(0, 100, clock)
    clock.now += 4
    for step in range(20):
        single.follow(report(step, loss=2.0))
    joined.follow(report(19, loss=2.0, molecules=200))
    assert joined.loss == pytest.approx(single.loss) == pytest.approx(2.0)
    assert joined.seconds_left == pytest.approx(single.seconds_left) == pytest.approx(16)
    assert joined.molecules_per_second == pytest.approx(50)


def test_the_smoothed_loss_forgets() -> None:
    pace = Throughput(0, 1000)
    for step in range(300):
        pace.follow(report(step, loss=10.0 if step < 50 else 3.0))
    assert pace.loss == pytest.approx(3.0, abs=0.1)
