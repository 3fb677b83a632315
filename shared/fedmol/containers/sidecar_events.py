"""A run's events as its sidecar hands them out, for whoever has no access to the log itself."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import requests

from fedmol.telemetry.log import AnyEvent, parse

_PATIENCE = 30.0  # seconds; the sidecar sends a sign of life every ten
_PAUSE = 0.5  # seconds before a lost stream is taken up again


class EventStream:
    """Reads beside the caller; a stream that breaks is taken up where it was. `page` tells where the sidecar is now."""

    def __init__(self, page: Callable[[], str | None]) -> None:
        self._page, self._last = page, -1
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands before a page of this machine
        self._events: queue.Queue[AnyEvent] = queue.Queue()
        threading.Thread(target=self._read, name="events", daemon=True).start()

    def new(self) -> list[AnyEvent]:
        """What came since it was last asked."""
        found = []
        with suppress(queue.Empty):
            while True:
                found.append(self._events.get_nowait())
        return found

    def _read(self) -> None:
        while True:
            with suppress(requests.RequestException):
                page = self._page()
                if page is not None:
                    self._follow(page)
            time.sleep(_PAUSE)

    def _follow(self, page: str) -> None:
        url = f"{page}/v1/events"
        with self._session.get(url, params={"after": self._last}, stream=True, timeout=_PATIENCE) as answer:
            for line in answer.iter_lines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b": ")
        if field == b"id":
            self._last = int(value)
        elif field == b"data":
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                self._events.put(parse(value))
