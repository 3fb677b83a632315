"""What the rounds of a run are held to, for as long as the run lasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedmol.fl.norms import Reach
from fedmol.fl.payload import Payload
from fedmol.fl.strategies import Strategy


@dataclass(frozen=True)
class Terms:
    payload: Payload
    rounds: int
    strategy: Strategy
    largest_share: float | None  # of one site's weight
    norm_ratio: float  # see fedmol.fl.norms
    reach: Callable[[int], Reach]  # by round
    molecules: Callable[[], Mapping[str, int]]  # of each site, as agreed
