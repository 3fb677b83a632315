"""How long training takes to reach a given likelihood of molecules that it does not see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Generator

from benchmarks.clock import Clock
from benchmarks.contenders import Contender
from fedmol.diffusion import NoiseModel, nll
from fedmol.graphs import Graphs

TARGETS = (80.0, 75.0, 72.0)  # nats per molecule by the published definition


@dataclass(frozen=True)
class Descent:
    """The validation NLL (published definition) of one training, seen now and then; looking is not counted."""

    seconds: list[float]
    nll: list[float]
    limit: float  # seconds after which training was given up

    def reached(self, target: float) -> float | None:
        """Seconds until the NLL was first seen at or below `target`; None if it was not within the limit."""
        return next((s for s, value in zip(self.seconds, self.nll, strict=True) if value <= target), None)


def descent(
    contender: Contender,
    noise: NoiseModel,
    validation: Graphs,
    clock: Clock,
    limit: float,
    looks: int,
    on_look: Callable[[float, float], None] = lambda seconds, value: None,
) -> Descent:
    """Train until the last target is reached or `limit` seconds are over, with about `looks` looks at the NLL."""
    found = Descent([], [], limit)
    spent, steps = 0.0, 2  # the first step is slow in every program
    while spent < limit and (not found.nll or found.nll[-1] > TARGETS[-1]):
        taken = clock.time(partial(contender.train, steps))
        spent, steps = spent + taken, max(1, round(limit / looks * steps / taken))
        generator = Generator(device=validation.counts.device).manual_seed(0)  # every look at the same noise
        value = nll(contender.denoiser, noise, validation, generator).published
        found.seconds.append(spent)
        found.nll.append(value)
        on_look(spent, value)
    return found


def speed_up(baseline: Descent, other: Descent, target: float) -> tuple[float, bool] | None:
    """How many times less time `other` takes to `target`, and whether that is exact or only a lower bound.

    None if `other` does not reach it.
    """
    own, base = other.reached(target), baseline.reached(target)
    if own is None:
        return None
    return (base / own, True) if base is not None else (max(baseline.seconds[-1], baseline.limit) / own, False)
