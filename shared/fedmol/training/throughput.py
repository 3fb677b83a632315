"""How fast a training goes: before it begins, and while people look at it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from torch import Generator

from fedmol.training.distributed import Trainer
from fedmol.training.loop import STEPS_IN_FLIGHT, StepReport
from fedmol.training.optimizers import build_optimizer

_WINDOW = 30.0  # seconds over which speed is measured
_MEMORY = 0.98  # of the smoothed loss, per step
_WARM_STEPS = 2  # the first ones are slower, and those before the first report of a GPU


def seconds_per_step(trainer: Trainer, timed_steps: int, seed: int) -> float:
    """How long one gradient step takes here, measured over `timed_steps` or more on a denoiser to be thrown away."""
    in_flight = STEPS_IN_FLIGHT[trainer.device.type]
    warm, timed = max(_WARM_STEPS, in_flight), max(timed_steps, in_flight)
    ends: dict[int, float] = {}  # when each report came, by the steps taken before it

    def note(report: StepReport) -> None:
        ends[report.step + 1] = time.monotonic()

    trainer.train(
        build_optimizer(trainer.denoiser, trainer.config),
        first_step=0,
        steps=warm + timed,
        total_steps=warm + timed,
        generator=Generator().manual_seed(seed),
        on_step=note,
    )
    return (ends[warm + timed] - ends[warm]) / timed


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
