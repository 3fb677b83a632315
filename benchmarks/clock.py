"""Taking the time of several contenders fairly, on a machine whose speed changes while it is measured."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

Work = Callable[[int], object]  # does that many repetitions


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of repeated measurements."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(statistics.median(values), min(values), max(values))


def repeated(operation: Callable[[], object]) -> Work:
    """The work of doing `operation` once a repetition."""

    def work(times: int) -> None:
        for _ in range(times):
            operation()

    return work


class Clock:
    """Processor seconds of this process on a CPU; seconds on a GPU, whose queue is emptied before each look."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self.unit = "second" if self._cuda else "CPU-second"

    def time(self, work: Callable[[], object]) -> float:
        """Seconds that `work` takes."""
        begun = self._now()
        work()
        return self._now() - begun

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()


def alternate(clock: Clock, works: Mapping[str, Work], rounds: int, turn: float) -> dict[str, list[float]]:
    """Seconds per repetition of every contender, one value a round.

    In each round all take one turn of about `turn` seconds, so that what slows the machine down slows all of them.
    Two repetitions before the first round are not counted: the first is slow in every program, the second says how
    many make a turn. With a turn of 0 there are none, for works that have run before, and a turn is one repetition.
    """
    repetitions = {name: _repetitions(clock, work, turn) for name, work in works.items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            many = repetitions[name]
            seconds[name].append(clock.time(partial(work, many)) / many)
    return seconds


def _repetitions(clock: Clock, work: Work, turn: float) -> int:
    if not turn:
        return 1
    work(1)
    return max(1, math.ceil(turn / max(clock.time(partial(work, 1)), 1e-6)))


def rates(seconds: Sequence[float], amount: float) -> Spread:
    """`amount` per second."""
    return Spread.of([amount / elapsed for elapsed in seconds])


def ratios(baseline: Sequence[float], seconds: Sequence[float]) -> Spread:
    """How many times less time than the baseline, round by round."""
    return Spread.of([base / elapsed for base, elapsed in zip(baseline, seconds, strict=True)])
