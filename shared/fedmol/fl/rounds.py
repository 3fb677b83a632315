"""What the rounds of a run are held to, and when one may close: everyone has reported, or the quorum has and nobody
worth waiting for is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fedmol.errors import Exit, FedmolError
from fedmol.fl.liveness import Liveness
from fedmol.fl.payload import MODEL, Payload, Sections
from fedmol.fl.strategies.base import LARGEST_STATE, State, Strategy
from fedmol.fl.update_norms import Reach
from fedmol.fl.updates import Update


@dataclass(frozen=True)
class Terms:
    payload: Payload
    rounds: int
    strategy: Strategy
    largest_share: float | None  # of one site's weight
    norm_ratio: float  # see fedmol.fl.update_norms
    reach: Callable[[int], Reach]  # by round
    molecules: Callable[[], Mapping[str, int]]  # of each site, as agreed

    def step(
        self, current: Sections, updates: Sequence[Update], state: State, new_members: bool
    ) -> tuple[Sections, State]:
        """What leaves a round, for `new_members` if the next one is their first.

        Raises:
            DamagedUpdate: a stored update is not what was received.
            FedmolError: INTERNAL when the strategy does not keep to `Strategy.step`.
        """
        sections, following = self.strategy.step(self.payload, current, updates, state)
        if wrong := self._wrong(sections, following):
            raise FedmolError(
                Exit.INTERNAL, f"strategy {self.strategy.name}: {wrong}", "this is a defect of the strategy: report it"
            )
        return self.payload.begin(sections[MODEL]) if new_members else sections, following

    def _wrong(self, sections: Sections, state: State) -> str | None:
        found = {name: (vector.shape, vector.dtype.name) for name, vector in sections.items()}
        asked = {section.name: ((section.length,), section.dtype) for section in self.payload.sections}
        if found != asked:
            return f"its step gave the sections {found}, and the payload has {asked}"
        kept = sum(vector.nbytes for vector in state.values())
        if kept > LARGEST_STATE * self.payload.nbytes:
            return f"its state has {kept:,} bytes, more than {LARGEST_STATE} times the payload"
        return None


LEAST_GRACE = 10.0  # seconds


@dataclass
class RoundRule:
    """Quorum, grace and deadline of one round. Sites are named by their own names.

    A living site that has not reported is waited for until the deadline as long as the quorum is missing, and after
    that for the grace only: for `grace` seconds, or as long again as the quorum took and at least `LEAST_GRACE`.
    """

    sites: Collection[str]
    quorum: int
    deadline: float  # seconds
    liveness: Liveness
    grace: float | None = None  # seconds
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    _quorum_since: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The next round begins now."""
        self.started, self._quorum_since = self.clock(), None

    @property
    def overdue(self) -> bool:
        return self.clock() - self.started > self.deadline

    def may_close(self, reported: Collection[str]) -> bool:
        missing = set(self.sites) - set(reported)
        if not missing:
            return True
        if len(reported) < self.quorum:
            self._quorum_since = None
            return False
        return self.overdue or self._grace_is_over() or missing <= self.liveness.lost()

    def hopeless(self, reported: Collection[str]) -> bool:
        """The quorum cannot come any more: the deadline has passed, or too many sites have said that they failed."""
        if len(reported) >= self.quorum:
            return False
        possible = set(self.sites) - (self.liveness.failed() - set(reported))
        return self.overdue or len(possible) < self.quorum

    def _grace_is_over(self) -> bool:
        now = self.clock()
        if self._quorum_since is None:
            self._quorum_since = now
        grace = max(self._quorum_since - self.started, LEAST_GRACE) if self.grace is None else self.grace
        return now - self._quorum_since > grace
