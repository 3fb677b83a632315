"""Is the plain baseline as fast as the reference's own code? What can be said without that code.

The reference was measured on another machine, whose rates were measured with it. Molecules per second do not carry
over, so three things are compared:

* the raw rate there and here;
* the rate to be expected of the reference here. Its matrix products are the baseline's, as many and as large, so they
  would take the time that the baseline's take here; everything else (elementwise work, 73 % of its time in a profile)
  is taken to last as long as there. What it would be if that followed the memory's rates, in place or freshly
  allocated, are the two bounds;
* what does not depend on the machine: operations and memory per molecule.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.clock import Spread
from benchmarks.machine import Ceilings

# cvignac/DiGress, main at 780242b (2025-04-03), QM9, nine layers, all features, batch 64, torch 2.13 (CPU), one thread
# of a 2-core Xeon with AMX.
BATCH = 64
RATE = 62.0  # molecules per CPU-second
MATRIX_SHARE = 0.27  # of that time, in matrix products
MEMORY_IN_PLACE, MEMORY_FRESH = 18.0, 7.0  # that machine's GB/s
MEGAFLOP = 516.0  # per molecule and training step, reckoned from its sizes
MEMORY = (5.8 - 1.7) / (512 - 64) * 2**30  # bytes per molecule, from the peaks at batches of 64 and 512
TOLERANCE = 0.2

_MATRIX_PRODUCTS = {torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm}


@dataclass(frozen=True)
class Check:
    """The plain baseline against the reference; ratios are plain / reference."""

    rate: Spread  # molecules per CPU-second here, batch 64
    matrix_share: float  # of that time, in matrix products
    raw: float  # rate / the reference's rate on its machine
    expected: float  # the reference's rate on this machine, with the rest of its time unchanged
    corrected: float  # rate / expected
    bounds: tuple[float, float]  # `corrected` if the rest followed the memory's rates
    operations: float
    memory: float | None
    within: bool  # `corrected` is within the tolerance

    @staticmethod
    def of(rate: Spread, matrix_seconds: float, ceilings: Ceilings, megaflop: float, memory: float | None) -> Check:
        """`matrix_seconds`, `megaflop` and `memory` (bytes) of the baseline, per molecule of a training step."""

        def expected(rest: float) -> float:
            return 1 / (matrix_seconds + rest * (1 - MATRIX_SHARE) / RATE)

        ends = [
            rate.median / expected(MEMORY_IN_PLACE / ceilings.memory_in_place.median),
            rate.median / expected(MEMORY_FRESH / ceilings.memory_fresh.median),
        ]
        corrected = rate.median / expected(1)
        return Check(
            rate=rate,
            matrix_share=matrix_seconds * rate.median,
            raw=rate.median / RATE,
            expected=expected(1),
            corrected=corrected,
            bounds=(min(ends), max(ends)),
            operations=megaflop / MEGAFLOP,
            memory=None if memory is None else memory / MEMORY,
            within=1 - TOLERANCE <= corrected <= 1 + TOLERANCE,
        )


class _MatrixTime(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """CPU-seconds in matrix products while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds: float = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        begun = time.process_time()
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in _MATRIX_PRODUCTS:
            self.seconds += time.process_time() - begun
        return result


def matrix_seconds(work: Callable[[], object]) -> float:
    """CPU-seconds that `work` spends in matrix products, those of the gradients included."""
    spent = _MatrixTime()
    with spent:
        work()
    return spent.seconds
