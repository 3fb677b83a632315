"""When a round may close: everyone has reported, or the quorum has and nobody worth waiting for is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from fedmol_aggregator.presence import Presence


@dataclass
class RoundRule:
    """The quorum and the deadline of one round. Sites are named by their own names."""

    sites: Collection[str]
    quorum: int
    deadline: float  # seconds
    presence: Presence
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The next round begins now."""
        self.started = self.clock()

    @property
    def overdue(self) -> bool:
        return self.clock() - self.started > self.deadline

    def may_close(self, reported: Collection[str]) -> bool:
        missing = set(self.sites) - set(reported)
        if not missing:
            return True
        return len(reported) >= self.quorum and (self.overdue or missing <= self.presence.lost())

    def hopeless(self, reported: Collection[str]) -> bool:
        """The deadline has passed without a quorum."""
        return self.overdue and len(reported) < self.quorum
