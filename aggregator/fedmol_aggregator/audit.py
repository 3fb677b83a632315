"""Refusals in the event log: every kind of them at once, and again now and then, whatever a caller repeats."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from fedmol.errors import FedmolError
from fedmol.events import EventLog

T = TypeVar("T")

_AGAIN_AFTER = 60.0  # seconds between two lines about the same refusal
_MOST_KINDS = 1024  # that are remembered
_LONGEST_NAME = 64  # characters


class Audit:
    def __init__(self, events: EventLog) -> None:
        self.events = events
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], float] = {}

    def checking(self, name: str | None, check: Callable[[], T]) -> T:
        """What `check` gives; when it refuses the caller `name`, the refusal is logged."""
        try:
            return check()
        except FedmolError as refusal:
            self.refused(name, refusal)
            raise

    def refused(self, name: str | None, refusal: FedmolError) -> None:
        """Log that `name` was refused, unless that has just been said."""
        name = (name or "nobody")[:_LONGEST_NAME]
        key, now = (name, refusal.exit.slug), time.monotonic()
        with self._lock:
            if now - self._told.get(key, float("-inf")) < _AGAIN_AFTER:
                return
            if len(self._told) >= _MOST_KINDS:
                self._told.clear()
            self._told[key] = now
        self.events.write("site_refused", site=name, reason=refusal.exit.slug, detail=refusal.message)
