"""The clock by which deadlines and silences are measured."""

from __future__ import annotations

from fedmol.fl.liveness import LONGEST, AwakeClock


class Seconds:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_goes_on_like_any_clock_while_it_is_looked_at() -> None:
    seconds = Seconds()
    clock = AwakeClock(clock=seconds)
    for _ in range(20):
        seconds.now += 0.5
        clock.look()
    assert clock() == 10.0


def test_a_time_in_which_nobody_looked_hardly_counts_and_is_said() -> None:
    seconds, slept = Seconds(), list[float]()
    clock = AwakeClock(slept.append, seconds)
    seconds.now += 3600
    assert clock() == LONGEST  # also before the first look after waking
    clock.look()
    assert clock() == LONGEST
    assert slept == [3600]
    seconds.now += 1
    assert clock() == LONGEST + 1


def test_it_never_goes_back() -> None:
    seconds = Seconds()
    clock, before = AwakeClock(clock=seconds), 0.0
    for step in (0.1, 5.0, 0.0, 2.9, 100.0, 0.4):
        seconds.now += step
        for _ in range(2):
            now = clock()
            assert now >= before
            before = now
            clock.look()
