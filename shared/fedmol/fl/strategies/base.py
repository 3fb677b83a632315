"""What every strategy is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedmol.fl.payload import Payload, Section, Sections, Vector
from fedmol.fl.updates import BLOCK, Update, aligned

State = Mapping[str, Vector]  # whatever a strategy keeps from round to round
LARGEST_STATE = 8  # times the payload, in bytes


class Strategy(Protocol):
    """A pure step; the settings of a strategy are the strategy."""

    @property
    def name(self) -> str: ...

    def payload(self, parameters: int) -> Payload:
        """What travels between a site and the aggregator, for a model of so many parameters."""

    def step(
        self, payload: Payload, current: Sections, updates: Sequence[Update], state: State
    ) -> tuple[Sections, State]:
        """The sections that leave the round, and the state for the next.

        Sections have the names, lengths and types of the payload. The state has names of its own, and at most
        `LARGEST_STATE` times the payload's bytes. The round engine checks both, and that every number is finite.

        Raises:
            DamagedUpdate: a stored update is not what was received; nothing has changed.
        """


def weighted_means(updates: Sequence[Update], section: Section) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """The updates' mean by their weights, block by block, see `weighted_sums`."""
    return weighted_sums(updates, section, [update.weight for update in updates])


def weighted_sums(
    updates: Sequence[Update], section: Section, weights: Sequence[float]
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """The updates' weighted sum, block by block, summed in float64 in the order of the updates.

    A block is valid until the next one is taken.
    """
    sums, exact = np.empty((2, min(BLOCK, section.length)))
    for part, blocks in aligned(updates, section):
        mean, scaled = sums[: len(blocks[0])], exact[: len(blocks[0])]
        total: NDArray[np.float64] | float = 0.0
        with np.errstate(invalid="ignore", over="ignore"):  # a damaged file is found when it has been read
            for weight, block in zip(weights, blocks, strict=True):
                scaled[:] = block  # by itself: numpy converts in small pieces where it multiplies at the same time
                scaled *= weight
                total = np.add(total, scaled, out=mean)
        yield part, mean
