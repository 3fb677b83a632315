"""How the sites' updates become the next model: server algorithms on whole model vectors.

An algorithm is a pure step from (current model, updates, state) to (next model, next state). The state is saved
with each round's checkpoint, so that a restarted aggregator goes on exactly where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedmol.errors import Exit, FedmolError

Vector = NDArray[np.float32]
State = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Update:
    """One site's model after its local training; weights of a round sum to 1."""

    site: str
    weight: float
    vector: Vector  # (P,)


def vector_digest(vector: Vector) -> str:
    """SHA-256 of a model's weights: equal digests mean equal models."""
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").tobytes()).hexdigest()


class Algorithm(Protocol):
    def __call__(self, current: Vector, updates: Sequence[Update], state: State) -> tuple[Vector, State]: ...


def weighted_mean(updates: Sequence[Update]) -> Vector:
    """The updates' weighted mean, summed in float64 in the order of the sites' names.

    The fixed order makes the result independent of who answered first.
    """
    total = np.zeros(updates[0].vector.shape, dtype=np.float64)  # (P,)
    for update in sorted(updates, key=lambda u: u.site):
        total += np.float64(update.weight) * update.vector
    return total.astype(np.float32)


def fedavg(current: Vector, updates: Sequence[Update], state: State) -> tuple[Vector, State]:
    """Federated averaging (McMahan et al. 2017, arXiv 1602.05629): the mean weighted by the sites' molecules."""
    return weighted_mean(updates), state


ALGORITHMS: dict[str, Algorithm] = {"fedavg": fedavg}


def get(name: str) -> Algorithm:
    """The algorithm called `name` in federation.yaml."""
    if name not in ALGORITHMS:
        raise FedmolError(
            Exit.BAD_SETTINGS, f"algorithm: there is no {name!r}", f"choose one of: {', '.join(sorted(ALGORITHMS))}"
        )
    return ALGORITHMS[name]
