"""Who holds the final model: a finished run is served until everybody does."""

from __future__ import annotations

import threading
from collections.abc import Collection

from fedmol.telemetry import queries
from fedmol.telemetry.events.run_events import ModelDelivered
from fedmol.telemetry.log import EventLog


class Deliveries:
    """What the sites say of themselves once they have checked the model; in the event log, so that a restart knows."""

    def __init__(self, events: EventLog) -> None:
        self.events, self._lock = events, threading.Lock()
        self._held = {event.site for event in queries.logged(events.path, ModelDelivered)}

    def note(self, site: str, model_digest: str) -> None:
        """The site holds the final model. Raises OSError when that cannot be written down: it is to be said again."""
        with self._lock:
            if site not in self._held:
                self.events.write(ModelDelivered(model_digest=model_digest), site=site)
                self._held.add(site)

    def missing(self, sites: Collection[str]) -> set[str]:
        """Those of `sites` that have not said that they hold it."""
        return set(sites) - self._held
