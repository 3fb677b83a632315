"""How far an update may move the model before it does not count.

Updates are compared as moves: the update's norm over the largest that the optimiser could reach in the round,

    move = |w_k - w| / (sqrt(P) sum of the round's learning rates),

because a step of AdamW or Muon changes an entry by the learning rate at most. So the moves of a round with a large
learning rate and of a late one are alike, and round 1 needs no history. Steps in unrelated directions give a move of
1 / sqrt(steps), steps all in one direction give 1. An update does not count when its move is above

    min(1, ratio max(median, 1 / sqrt(steps)))

where the median is over the sites' latest moves, this round's included, and the lower one of the two in the middle: a
minority of sites cannot raise it, one of two included, and with the second term cannot lower the limit below what
honest training needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    """What the sites' optimisers can do in a round."""

    norm: float  # of the longest possible way: sqrt(parameters) times the sum of the learning rates
    steps: int
    gradient: float  # the largest norm of one that the optimiser is given


def lower_median(values: Iterable[float]) -> float:
    """The middle value; the lower of the two in the middle of an even number."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def largest_move(moves: Iterable[float], steps: int, ratio: float) -> float:
    """The limit on a move, given the sites' latest ones."""
    return min(1.0, ratio * max(lower_median(moves), 1 / math.sqrt(steps)))
