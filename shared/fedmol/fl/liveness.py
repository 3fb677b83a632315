"""Who is alive: every call of a site is a sign of life, and silence has a limit, in time as the process lives it.

A process that is stopped (SIGSTOP, a frozen container, a virtual machine that is moved) hears of nobody meanwhile, and
must not take that for the others' silence when it wakes. So deadlines and silences are measured by a clock that goes on
by `LONGEST` at most while nobody looks at it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from fedmol.telemetry.events.site_events import SiteLost, SiteReturned
from fedmol.telemetry.log import EventLog

LONGEST = 3.0  # seconds between two looks that count; a machine under load looks late, too
_PERIOD = 0.5  # seconds between two looks


class AwakeClock:
    """Seconds during which the process was awake. `slept` is told how long it was not."""

    def __init__(self, slept: Callable[[float], object] = lambda _: None, clock: Callable[[], float] = time.monotonic):
        self.slept, self.clock = slept, clock
        self._lock = threading.Lock()
        self._awake, self._looked = 0.0, clock()

    def __call__(self) -> float:
        with self._lock:
            return self._awake + min(self.clock() - self._looked, LONGEST)

    def look(self) -> None:
        """Go on; to be called again and again."""
        with self._lock:
            now = self.clock()
            gap, self._looked = now - self._looked, now
            self._awake += min(gap, LONGEST)
        if gap > LONGEST:
            self.slept(gap)

    def watch(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        while not stop.wait(_PERIOD):
            self.look()


class Liveness:
    """Keeps when each site was last heard of, and says so in the event log when one falls silent or comes back."""

    def __init__(
        self, sites: Iterable[str], lost_after: float, events: EventLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lost_after, self.events, self.clock = lost_after, events, clock
        self._lock = threading.Lock()
        self._seen = dict.fromkeys(sites, clock())  # a site that never comes is lost after the same silence
        self._lost: set[str] = set()
        self._gone: dict[str, float] = {}  # since when

    def seen(self, site: str) -> None:
        with self._lock:
            if site not in self._seen:
                return  # it is to be a member later
            self._seen[site] = self.clock()
            self._gone.pop(site, None)
            returned = site in self._lost
            self._lost.discard(site)
        if returned:
            self.events.write(SiteReturned(), site=site)

    def expect(self, sites: Iterable[str], lost_after: float) -> None:
        """From now on these are the sites; one that is new is lost after as much silence as one that never came."""
        with self._lock:
            self._seen = {site: self._seen.get(site, self.clock()) for site in sites}
            self._lost &= self._seen.keys()
            self._gone = {site: since for site, since in self._gone.items() if site in self._seen}
            self.lost_after = lost_after

    def left(self, site: str) -> None:
        """The site said that it will not come back by itself."""
        with self._lock:
            if site in self._seen:
                self._gone.setdefault(site, self.clock())

    def failed(self) -> set[str]:
        """The sites that said so and have not come back since, for as long as silence has a limit."""
        with self._lock:
            now = self.clock()
            return {site for site, since in self._gone.items() if now - since > self.lost_after}

    def lost(self) -> set[str]:
        """The sites not to wait for; newly lost ones are logged."""
        with self._lock:
            now = self.clock()
            silent = {site for site, seen in self._seen.items() if now - seen > self.lost_after} | self._gone.keys()
            fresh, self._lost = silent - self._lost, set(silent)
        for site in sorted(fresh):
            self.events.write(SiteLost(silent_seconds=round(now - self._seen[site], 1)), site=site)
        return silent
