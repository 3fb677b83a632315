"""Which of a site's reports become events: as many as tell what it does, however often it reports."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

EVERY = 4.0  # seconds for each event of a site on average
BURST = 24.0  # events beyond that, at once
PHASES = 6  # that a site goes through in a round: so many events more with each round that opens
_STILL_EVERY = 8.0  # seconds between two events in the same phase, when the burst is half used up


@dataclass
class _Site:
    left: float  # events that it may cause at once
    counted: float  # when that was
    told: float = float("-inf")  # when its last event was written
    phase: str = ""
    round: int = 0


class ProgressLog:
    """A change of phase becomes an event as soon as there may be one, and the same phase every few seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._sites: dict[str, _Site] = {}  # members only

    def worth_an_event(self, site: str, phase: str, round: int) -> bool:
        """Whether this report is to be told, which is noted. `round` is the open one, whatever the site says."""
        now = self.clock()
        with self._lock:
            known = self._sites.setdefault(site, _Site(BURST, now))
            fresh = (now - known.counted) / EVERY + PHASES * (round > known.round)
            known.left, known.counted, known.round = min(BURST, known.left + fresh), now, max(round, known.round)
            patience = EVERY if known.left > BURST / 2 else _STILL_EVERY
            if known.left < 1 or (phase == known.phase and now - known.told < patience):
                return False
            known.left, known.told, known.phase = known.left - 1, now, phase
            return True
