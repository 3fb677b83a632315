"""A bound on the copies of the model that are on their way to sites: gRPC holds each until its last byte is gone."""

from __future__ import annotations

import threading
import time

import grpc

_ON_THE_WAY = 48 * 2**20  # bytes of models that are sent at the same time, one model at least
_PATIENCE, _SLOW = 5.0, 20e6  # seconds, and bytes a second: without progress for longer, a line is slow


class Downloads:
    """Sites take the model in turns; where a slow line holds its turn for long, the others go past it one at a time."""

    def __init__(self, model_bytes: int) -> None:
        self._usual = threading.BoundedSemaphore(max(1, _ON_THE_WAY // model_bytes))
        self._beside = threading.BoundedSemaphore(1)
        self._longest, self._moved = _PATIENCE + model_bytes / _SLOW, time.monotonic()
        self._lock, self._last = threading.Lock(), dict[str, grpc.ServicerContext]()

    def wait_for_turn(self, site: str, context: grpc.ServicerContext) -> bool:
        """Hold a place until the call is over, however it ends; False when the caller has gone meanwhile.

        A site has one place: its older call, which it may have left unread, is over with the newer one.
        """
        with self._lock:
            older, self._last[site] = self._last.get(site), context
        if older is not None:
            older.cancel()
        while context.is_active():
            stuck = time.monotonic() - self._moved > self._longest
            for places in (self._usual, self._beside)[: 1 + stuck]:
                if places.acquire(timeout=0.2):
                    self._hold(places, context)
                    return True
        return False

    def _hold(self, places: threading.Semaphore, context: grpc.ServicerContext) -> None:
        def release() -> None:
            places.release()
            if places is self._usual:
                self._moved = time.monotonic()

        if places is self._usual:
            self._moved = time.monotonic()
        if not context.add_callback(release):
            release()  # the call is over already
