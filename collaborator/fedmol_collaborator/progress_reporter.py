"""The pulse: what the site is doing right now, told to the aggregator once a second and to the site's own log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedmol.fl.messages import Progress, SitePhase
from fedmol.telemetry.events.site_events import PhaseEntered
from fedmol.telemetry.log import EventLog
from fedmol_collaborator.watchdog import Watchdog

log = logging.getLogger("fedmol.site")

_PERIOD = 1.0  # seconds
_PATIENCE = 5.0  # seconds that a message may take
_LAST_WORDS = 1.0  # seconds that the last message may take


@dataclass
class ProgressReporter:
    """`send` may fail as it likes: a missed pulse is not an error, a silent site is noticed by the aggregator."""

    events: EventLog
    progress: Progress
    send: Callable[[Progress, threading.Event, float], None]  # with what ends the attempt, and its seconds
    watch: Watchdog

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def phase(self, phase: SitePhase, round: int | None = None, model_digest: str | None = None) -> None:
        """The site enters a phase of its work; `model_digest` is that of the final model, once it is here."""
        self.watch.enter(phase)
        run, peer = self.progress.run, self.progress.peer
        self.progress = Progress(run=run, peer=peer, round=round, phase=phase, model_digest=model_digest)
        self.events.write(PhaseEntered(), round=round, phase=phase)
        log.info("%s%s", phase, f", round {round}" if round else "")

    def step(self, **fields: Any) -> None:
        """Progress inside the phase."""
        self.watch.moved()
        self.progress = self.progress.model_copy(update=fields)

    def stop(self) -> None:
        """Send what is true at the end, once, and fall silent."""
        self._stop.set()
        self._thread.join()
        self._send(threading.Event(), _LAST_WORDS)

    def _beat(self) -> None:
        while not self._stop.wait(_PERIOD) and not self.watch.hung.is_set():
            self._send(self._stop, _PATIENCE)

    def _send(self, stop: threading.Event, patience: float) -> None:
        try:
            self.send(self.progress, stop, patience)
        except Exception as error:
            log.debug("a pulse was lost: %s", error)
