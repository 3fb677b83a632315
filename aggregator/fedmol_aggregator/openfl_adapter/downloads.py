"""A bound on the copies of the model that are on their way to sites: gRPC holds each until its last byte is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import grpc

_ON_THE_WAY = 64 * 2**20  # bytes of models that are sent at the same time, one model at least
_PATIENCE = 5.0  # seconds after which a slow line is no reason to wait any more


class Downloads:
    """Sites take the model in turns; whoever has waited for long goes past a slow line, one at a time."""

    def __init__(self, model_bytes: int) -> None:
        self._usual = threading.BoundedSemaphore(max(1, _ON_THE_WAY // model_bytes))
        self._beside = threading.BoundedSemaphore(1)

    def wait_for_turn(self, context: grpc.ServicerContext) -> bool:
        """Hold a place until the call is over, however it ends; False when the caller has gone meanwhile."""
        since = time.monotonic()
        while context.is_active():
            late = time.monotonic() - since > _PATIENCE
            for places in (self._usual, self._beside)[: 1 + late]:
                if places.acquire(timeout=0.2):
                    release: Callable[[], None] = places.release
                    if not context.add_callback(release):
                        release()  # the call is over already
                    return True
        return False
