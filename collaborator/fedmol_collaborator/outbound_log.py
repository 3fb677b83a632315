"""What leaves the site, written into its event log message by message: which call, how many bytes, which fields."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fedmol.telemetry.events.site_events import MessageSent

Write = Callable[[MessageSent], object]  # as `fedmol.telemetry.log.EventLog.write`


@dataclass
class _Count:
    written: float  # when the last line was
    times: int = 0
    size: int = 0


class OutboundLog:
    """Messages that hold the same fields of the same call add up to one line a minute; the first is written at once."""

    def __init__(self, write: Write, clock: Callable[[], float] = time.monotonic, again_after: float = 60.0) -> None:
        """What holds the same fields is written again after that many seconds."""
        self.write, self.clock, self.again_after = write, clock, again_after
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, tuple[str, ...]], _Count] = {}

    def note(self, call: str, size: int, holds: tuple[str, ...]) -> None:
        """A message of `size` bytes is about to leave. Raises OSError when it cannot be written down."""
        with self._lock:
            now, count = self.clock(), self._counts.get((call, holds))
            if count is not None and now - count.written < self.again_after:
                count.times, count.size = count.times + 1, count.size + size
                return
            before = count or _Count(now)
            self._counts[call, holds] = _Count(now)
            self._write(call, holds, before.times + 1, before.size + size)

    def flush(self) -> None:
        """Write what has only been counted so far."""
        with self._lock:
            counts, self._counts = self._counts, {}
            for (call, holds), count in counts.items():
                if count.times:
                    self._write(call, holds, count.times, count.size)

    def _write(self, call: str, holds: tuple[str, ...], times: int, size: int) -> None:
        self.write(MessageSent(call=call, times=times, bytes=size, holds=list(holds)))
