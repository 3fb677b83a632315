"""Time as a process lives it.

A process that is stopped (SIGSTOP, a frozen container, a virtual machine that is moved) hears of nobody meanwhile, and
must not take that for the others' silence when it wakes. So deadlines and silences are measured by a clock that goes on
by `LONGEST` at most while nobody looks at it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST = 3.0  # seconds between two looks that count; a machine under load looks late, too
_PERIOD = 0.5  # seconds between two looks


class AwakeClock:
    """Seconds during which the process was awake. `slept` is told how long it was not."""

    def __init__(self, slept: Callable[[float], None] = lambda _: None, clock: Callable[[], float] = time.monotonic):
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
