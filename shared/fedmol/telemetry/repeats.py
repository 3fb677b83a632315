"""What is said again and again adds up: the first at once, then one event a minute that says how often, and when last.

So a log grows with what there is to tell, and not with the pace at which somebody knocks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from fedmol.telemetry.events.event_record import Repeated
from fedmol.telemetry.log import EventLog, stamp

EVERY = 60.0  # seconds between two events about the same
OTHERS = "others"  # stands for the sites of all that do not get an event of their own


@dataclass
class _Said:
    written: float  # when an event was written last
    times: int = 0  # how often since
    newest: tuple[Repeated, int | None] | None = None  # the event as it is to be written, with its round


class Repeats:
    """At most `most` kinds of the same get events of their own; whatever else there is adds up under `OTHERS`."""

    def __init__(self, events: EventLog, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.events, self.most, self.clock = events, most, clock
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str | None, str], _Said] = {}

    def note(self, event: Repeated, site: str | None, about: str, round: int | None = None) -> None:
        """An event about `site`; those of its kind that have the same `about` add up. The newest one is written."""
        now = self.clock()
        with self._lock:
            key = (event.kind, site, about)
            if key not in self._said and len(self._said) >= self.most:
                key, site = (event.kind, OTHERS, ""), OTHERS
            said = self._said.get(key)
            if said is not None:
                said.times += 1
                said.newest = event.model_copy(update={"times": said.times, "last": stamp()}), round
            else:
                self._said[key] = _Said(now)
        if said is None:
            self.events.write(event, site=site, round=round)
        self.settle()

    def settle(self, everything: bool = False) -> None:
        """Write what has added up and is due; with `everything` also what is not, because nothing more will come."""
        now, due = self.clock(), []
        with self._lock:
            for key, said in list(self._said.items()):
                if now - said.written < EVERY and not everything:
                    continue
                if said.newest is not None:
                    due.append((key[1], *said.newest))
                    self._said[key] = _Said(now)
                else:
                    del self._said[key]  # a quiet minute: the next one is told at once
        for site, event, round in due:
            self.events.write(event, site=site, round=round)

    def watch(self, stop: threading.Event) -> None:
        """Write what is due until `stop` is set. The end is for `settle`."""
        while not stop.wait(1.0):
            with suppress(OSError):  # a full disk ends the run elsewhere
                self.settle()
