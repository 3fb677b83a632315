"""How a training comes along, for people to look at."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from fedmol.training.loop import StepReport

_WINDOW = 30.0  # seconds over which speed is measured
_MEMORY = 0.98  # of the smoothed loss, per step


class Throughput:
    """Follows the reports of a training whose next step is `first_step` and which ends before `end_step`."""

    def __init__(self, first_step: int, end_step: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.done, self.end, self._clock = first_step, end_step, clock
        self._molecules, self._seen = 0, deque([(clock(), first_step, 0)])
        self._sum = self._weight = 0.0

    def follow(self, report: StepReport) -> None:
        steps, self.done = report.step + 1 - self.done, report.step + 1
        kept = _MEMORY**steps
        self._sum, self._weight = kept * self._sum + (1 - kept) * report.loss, kept * self._weight + 1 - kept
        self._molecules += report.molecules
        self._seen.append((self._clock(), self.done, self._molecules))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[1][0] >= _WINDOW:
            self._seen.popleft()

    @property
    def loss(self) -> float:
        """Mean of the losses, those of the last 50 steps or so weighing most."""
        return self._sum / self._weight

    @property
    def molecules_per_second(self) -> float:
        """Over the last half minute; 0 before the first report."""
        (began, _, before), (now, _, after) = self._seen[0], self._seen[-1]
        return (after - before) / max(now - began, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Until the last step, at the present speed; None before the first report."""
        (began, before, _), (now, after, _) = self._seen[0], self._seen[-1]
        return None if after == before else (self.end - self.done) * (now - began) / (after - before)
