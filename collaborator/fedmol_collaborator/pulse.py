"""The pulse: what the site is doing right now, told to the aggregator once a second and to the site's own log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedmol.events import EventLog
from fedmol.federation.messages import Progress, SitePhase

log = logging.getLogger("fedmol.site")

_PERIOD = 1.0  # seconds


@dataclass
class Pulse:
    """`send` may fail as it likes: a missed pulse is not an error, a silent site is noticed by the aggregator."""

    events: EventLog
    progress: Progress
    send: Callable[[Progress], None]

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def phase(self, phase: SitePhase, round: int | None = None, **fields: Any) -> None:
        """The site enters a phase of its work."""
        self.progress = Progress(run=self.progress.run, peer=self.progress.peer, round=round, phase=phase)
        self.events.write("phase", round=round, phase=phase, **fields)
        log.info("%s%s", phase, f", round {round}" if round else "")

    def step(self, **fields: Any) -> None:
        """Progress inside the phase."""
        self.progress = self.progress.model_copy(update=fields)

    def stop(self) -> None:
        """Send what is true at the end, once, and fall silent."""
        self._stop.set()
        self._thread.join()
        self._send()

    def _beat(self) -> None:
        while not self._stop.wait(_PERIOD):
            self._send()

    def _send(self) -> None:
        try:
            self.send(self.progress)
        except Exception as error:
            log.debug("a pulse was lost: %s", error)
