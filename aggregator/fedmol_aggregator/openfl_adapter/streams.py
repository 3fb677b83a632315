"""Deadlines for what a caller sends: a body that stops arriving, or takes too long, is given up.

gRPC's server waits without end for a caller's next message; only cancelling the call frees the waiting thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

_PERIOD = 0.5  # seconds between two looks at the open calls
_PATIENCE = 20.0  # seconds between two messages


class Gone(Exception):
    """The caller has hung up, or was given up, before its body was complete."""


@dataclass(eq=False)
class _Call:
    context: grpc.ServicerContext
    began: float
    waiting_since: float | None = None


class Streams:
    """The calls whose bodies are being read. `delivered` hears of each message: the connection and its length."""

    def __init__(self, longest: float, delivered: Callable[[str, int], None], clock: Callable[[], float]) -> None:
        self.longest, self.delivered, self.clock = longest, delivered, clock
        self._lock = threading.Lock()
        self._calls: set[_Call] = set()

    @contextmanager
    def reading(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Iterator[bytes]]:
        """The messages of a call, as long as they keep coming."""
        call = _Call(context, self.clock())
        with self._lock:
            self._calls.add(call)
        try:
            yield self._messages(messages, call)
        finally:
            with self._lock:
                self._calls.discard(call)

    def watch(self, stop: threading.Event) -> None:
        """Cancel what is overdue, until `stop` is set."""
        while not stop.wait(_PERIOD):
            now = self.clock()
            with self._lock:
                overdue = [call for call in self._calls if self._overdue(call, now)]
            for call in overdue:
                call.context.cancel()

    def _overdue(self, call: _Call, now: float) -> bool:
        if call.waiting_since is None:
            return False
        return now - call.waiting_since > _PATIENCE or now - call.began > self.longest

    def _messages(self, messages: Iterator[bytes], call: _Call) -> Iterator[bytes]:
        connection = call.context.peer()
        while True:
            call.waiting_since = self.clock()
            message = next(messages, None)
            call.waiting_since = None
            if message is None:
                if not call.context.is_active():
                    raise Gone
                return
            self.delivered(connection, len(message))
            yield message
