"""How the C library hands out memory to a server with many threads."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_ARENAS = -8, 2  # M_ARENA_MAX of malloc.h


def keep_together() -> None:
    """Let all threads share two pools of memory, where the system's C library is glibc.

    Each thread that receives a part of an upload would otherwise keep a pool of its own, as large as the largest part
    it has seen: half of the aggregator's memory with 32 sites, and page faults on every one of them.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(*_ARENAS)


def give_back() -> None:
    """Return freed memory to the system, where the system's C library is glibc.

    It keeps the memory of small tensors, and so, once the model has been built and flattened, that of a whole model.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
