"""A site that hangs does not look alive: its heart and its signs of life depend on its work, which has to move.

Movement is a training step, a validation, an attempt of a call, a piece of an upload. Each phase has a bound on the
time without any: generous at first, and then by what the phase has taken so far. Beyond it the site is hung. Its heart
stops, it is silent to the aggregator, its log says where it hangs, and it ends so that it is started again.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import os
import sys
import threading
import traceback

from fedmol.errors import Exit
from fedmol.fl.liveness import AwakeClock
from fedmol.heartbeat import PERIOD, Heart
from fedmol.telemetry.events.site_events import SiteHung
from fedmol.telemetry.log import EventLog

log = logging.getLogger("fedmol.site")

FIRST, LEAST = 1800.0, 300.0  # seconds without movement, before anything is known of a phase, and at the least after
_TIMES = 20.0  # the longest time without movement in the same phase so far
_LAST_WORDS = 5.0  # seconds for the log, which may be on the disk that hangs
_FRAMES = 12  # of the stack, in the log


class Watchdog:
    """`clock` goes on while the process is awake: one that was stopped, or slept, is not hung when it wakes."""

    def __init__(self, heart: Heart, events: EventLog, longest_call: float) -> None:
        """A call may take `longest_call` seconds, and moves when it ends."""
        self.heart, self.events, self.clock = heart, events, AwakeClock()
        self.least = max(LEAST, 2 * longest_call)
        self.hung = threading.Event()
        self._main = threading.main_thread().ident
        self._phase, self._first = "starting", True
        self._longest: dict[tuple[str, bool], float] = {}  # by phase, and whether it was the time to its first movement
        self._bound, self._moved = max(FIRST, self.least), self.clock()
        self._lock = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def enter(self, phase: str, least: float = 0.0) -> None:
        """The work goes on with another phase; its bound is not below `least` seconds."""
        with self._lock:
            self._note()
            self._phase, self._first = phase, True
            self._bound = max(least, self._usual())

    def rest(self) -> None:
        """There is nothing to do any more, for as long as it takes."""
        self.enter("resting", least=math.inf)

    def moved(self) -> None:
        with self._lock:
            self._note()
            self._first = False
            self._bound = self._usual()

    def _note(self) -> None:
        now = self.clock()
        silent, self._moved = now - self._moved, now
        key = self._phase, self._first
        self._longest[key] = max(silent, self._longest.get(key, 0.0))

    def _usual(self) -> float:
        longest = self._longest.get((self._phase, self._first))
        return max(self.least, FIRST if longest is None else _TIMES * longest)

    def _watch(self) -> None:
        pause = threading.Event()
        while not self._is_hung():
            self.heart.beat()
            pause.wait(PERIOD)
            self.clock.look()
        self.hung.set()
        telling = threading.Thread(target=self._tell, name="last words", daemon=True)
        telling.start()
        telling.join(_LAST_WORDS)
        os._exit(Exit.PROCESS_LOST)

    def _is_hung(self) -> bool:
        with self._lock:
            return self.clock() - self._moved > self._bound

    def _tell(self) -> None:
        silent = self.clock() - self._moved
        frame = sys._current_frames().get(self._main or 0)
        stack = traceback.extract_stack(frame)[-_FRAMES:]
        where = " < ".join(f"{os.path.basename(call.filename)}:{call.lineno} {call.name}" for call in reversed(stack))
        faulthandler.dump_traceback()
        log.error("%s has not moved for %.0f s: the site is hung at %s", self._phase, silent, where)
        self.events.write(SiteHung(seconds=round(silent, 1), detail=f"{self._phase}: {where}"))
        self.events.sync()
