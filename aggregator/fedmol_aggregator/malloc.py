"""How the C library hands out memory to a server with many threads."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# Of malloc.h; sizes in bytes.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_ARENAS, _LARGEST_KEPT, _KEPT = 2, 32 * 2**20, 64 * 2**20


def keep_together() -> None:
    """Let all threads share two pools of memory, where the system's C library is glibc.

    Each thread that receives a part of an upload would otherwise keep a pool of its own, as large as the largest part
    it has seen: half of the aggregator's memory with 32 sites, and page faults on every one of them. What is freed is
    kept up to a bound: an answer that holds the model would otherwise lie in fresh pages each time, which takes longer
    than to copy it.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for option, value in (
            (_ARENA_MAX, _ARENAS),
            (_MMAP_THRESHOLD, _LARGEST_KEPT),
            (_TRIM_THRESHOLD, _KEPT),
        ):
            library.mallopt(option, value)


def give_back() -> None:
    """Return freed memory to the system, where the system's C library is glibc.

    It keeps the memory of small tensors, and so, once the model has been built and flattened, that of a whole model.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
