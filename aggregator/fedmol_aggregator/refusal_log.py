"""Refusals in the event log: every kind of them at once, and again once a minute with how often, whatever a caller
repeats."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from fedmol.errors import FedmolError
from fedmol.telemetry.events.site_events import SiteRefused
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.repeats import Repeats

T = TypeVar("T")

_MOST_KINDS = 16  # of refusals, by name and reason, that get events of their own
_LONGEST_NAME = 64  # characters


class RefusalLog:
    def __init__(self, events: EventLog, clock: Callable[[], float] = time.monotonic) -> None:
        self.repeats = Repeats(events, _MOST_KINDS, clock)

    def checking(self, name: str | None, check: Callable[[], T]) -> T:
        """What `check` gives; when it refuses the caller `name`, the refusal is logged."""
        try:
            return check()
        except FedmolError as refusal:
            self.refused(name, refusal)
            raise

    def refused(self, name: str | None, refusal: FedmolError) -> None:
        """`name` was refused."""
        name, reason = (name or "nobody")[:_LONGEST_NAME], refusal.exit.slug
        self.repeats.note(SiteRefused(reason=reason, detail=refusal.message), name, reason)
