"""The learning rate by step: a linear warm-up, then half a cosine, which a longer run stretches.

A run that is made longer when its step s_1 is due goes on at the point of the curve where it is, only slower. With T_0
steps as the run was begun and T_j steps in all from step s_j on, the position on the first curve is

    p(s) = s                                                        before s_1
    p(s) = p(s_j) + (s - s_j) (T_0 - p(s_j)) / (T_j - s_j)          from s_j on

so that the learning rate never jumps, and reaches its end with the last step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fedmol.training.config import TrainingConfig

Extension = tuple[int, int]  # (first step, number of all steps from then on)


def learning_rate(position: float, total_steps: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine to 0 at `total_steps`."""
    warmup = max(1, round(config.warmup_share * total_steps))
    if position < warmup:
        return config.learning_rate * (position + 1) / warmup
    progress = min(1.0, (position - warmup) / max(1, total_steps - warmup))
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def position(step: int, total_steps: int, extensions: Iterable[Extension] = ()) -> float:
    """Where `step` lies on the curve of `total_steps`, which `extensions` stretch, in the order of their first steps.

    >>> [position(step, 8, [(4, 12)]) for step in (3, 4, 6, 12)]
    [3, 4.0, 5.0, 8.0]
    """
    since, start, slope = 0, 0.0, 1.0
    for first, total in extensions:
        if step < first:
            break
        start += (first - since) * slope
        since, slope = first, (total_steps - start) / (total - first)
    return start + (step - since) * slope if since else step
