"""Is the plain baseline as fast as the reference's own code? What can be said without that code.

The reference was measured on another machine, whose rates were measured with it. Molecules per second do not carry
over, so three things are compared:

* the raw rate there and here;
* the rate to be expected here, from the time that the reference spends in matrix products (a profile's 27 %), which
  follows the rate of matrix products, and in everything else, which is taken as equally fast on both machines. What
  the rest would make of it if it followed the memory's rates, in place or freshly allocated, are the two bounds;
* what does not depend on the machine: operations and memory per molecule.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.clock import Spread
from benchmarks.machine import Ceilings

# cvignac/DiGress, main at 780242b (2025-04-03), QM9, nine layers, all features, batch 64, torch 2.13 (CPU), one thread
# of a 2-core Xeon with AMX.
BATCH = 64
RATE = 62.0  # molecules per CPU-second; two threads on an idle machine: 100 per second
MATRIX_SHARE = 0.27  # of the time, matrix products in a profile at batch 128
GEMM, MEMORY_IN_PLACE, MEMORY_FRESH = 162.0, 18.0, 7.0  # that machine: GFLOP/s in float32, GB/s
MEGAFLOP = 516.0  # per molecule and training step, reckoned from its sizes
MEMORY = (5.8 - 1.7) / (512 - 64) * 2**30  # bytes per molecule, from the peaks at batches of 64 and 512
TOLERANCE = 0.2


@dataclass(frozen=True)
class Check:
    """The plain baseline against the reference; ratios are plain / reference."""

    rate: Spread  # molecules per CPU-second here, batch 64
    raw: float  # rate / the reference's rate on its machine
    expected: float  # the reference's rate on this machine, with the rest of the time unchanged
    corrected: float  # rate / expected
    bounds: tuple[float, float]  # `corrected` if the rest followed the memory's rate, in place and fresh
    operations: float
    memory: float | None
    within: bool  # `corrected` is within the tolerance

    @staticmethod
    def of(rate: Spread, ceilings: Ceilings, megaflop: float, memory: float | None) -> Check:
        """`megaflop` and `memory` (bytes) of the plain baseline, per molecule of a training step."""
        gemm = GEMM / ceilings.gemm_float32.median

        def corrected(rest: float) -> float:
            return rate.median / RATE * (MATRIX_SHARE * gemm + (1 - MATRIX_SHARE) * rest)

        ends = (
            corrected(MEMORY_IN_PLACE / ceilings.memory_in_place.median),
            corrected(MEMORY_FRESH / ceilings.memory_fresh.median),
        )
        found = corrected(1)
        return Check(
            rate=rate,
            raw=rate.median / RATE,
            expected=rate.median / found,
            corrected=found,
            bounds=(min(ends), max(ends)),
            operations=megaflop / MEGAFLOP,
            memory=None if memory is None else memory / MEMORY,
            within=1 - TOLERANCE <= found <= 1 / (1 - TOLERANCE),
        )
