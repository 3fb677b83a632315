"""What the rounds of a run are held to, for as long as the run lasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fedmol.fl.norms import Reach
from fedmol.fl.payload import MODEL, Payload, Sections
from fedmol.fl.strategies import State, Strategy
from fedmol.fl.updates import Update


@dataclass(frozen=True)
class Terms:
    payload: Payload
    rounds: int
    strategy: Strategy
    largest_share: float | None  # of one site's weight
    norm_ratio: float  # see fedmol.fl.norms
    reach: Callable[[int], Reach]  # by round
    molecules: Callable[[], Mapping[str, int]]  # of each site, as agreed

    def step(
        self, current: Sections, updates: Sequence[Update], state: State, new_members: bool
    ) -> tuple[Sections, State]:
        """What leaves a round, for `new_members` if the next one is their first. Raises as `Strategy.step` does."""
        sections, following = self.strategy.step(self.payload, current, updates, state)
        return self.payload.begin(sections[MODEL]) if new_members else sections, following
