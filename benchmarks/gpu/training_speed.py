"""Molecules per second of training: presets, batch sizes and executions, the most telling ones first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import pairwise

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.card import ceilings
from benchmarks.gpu.context import Context
from benchmarks.gpu.record import spread
from fedmol.execution import NAMES
from fedmol.training import StepReport, TrainingConfig

_NEEDED = 4.0  # seconds that a measurement takes, its preparation included
_COMPILING = 20.0  # seconds
_EVER = 10**6  # steps: more than are ever taken


class _Enough(Exception):
    """Ends a training that has been measured."""


def run(context: Context) -> None:
    """The stage; what the time does not suffice for is said."""
    found = ceilings(context.device, context.small)
    context.record.add("ceilings", **found)
    peak = found["bfloat16_tflops"]["value"] * 1e12
    compiled: set[int] = set()  # batch sizes
    capturing, done = True, set[tuple[str, int, str]]()
    for preset, batch, planned in plan(context):
        execution = planned if capturing or not NAMES[planned].captured else "eager"
        what = f"training {preset} {batch} {execution}"
        compiling = NAMES[execution].compiled and batch not in compiled
        if (preset, batch, execution) in done:
            continue
        if not context.small and context.left < _NEEDED + _COMPILING * compiling:
            context.skip(what, "no time left")
            continue
        done.add((preset, batch, execution))
        good = context.attempt(what, measure, preset, batch, execution, peak)
        capturing = capturing and (good or not NAMES[execution].captured)  # a failed capture spoils the next ones
        compiled |= {batch} if NAMES[execution].compiled else set()


def plan(context: Context) -> Iterator[tuple[str, int, str]]:
    """Preset, batch size and execution of the measurements, in the order of their worth."""
    sizes, own = context.size.batches, context.available_executions()
    usual, large, least = sizes[0], sizes[1], sizes[-1]
    yield from (("base", batch, "eager") for batch in (usual, large))  # should capturing fail, these are known
    yield from (("digress", batch, "eager") for batch in (usual, least))
    best = "graphs" if "graphs" in own else "eager"
    if best == "graphs":
        yield from (("base", batch, best) for batch in sizes)
    yield from ((preset, batch, best) for preset in ("large", "small") for batch in (usual, large))
    if "compiled-graphs" in own:
        yield from (("base", usual, name) for name in ("compiled-graphs", "compiled"))
    yield from (("base", batch, "eager") for batch in sizes[2:])
    if "compiled-graphs" in own:
        yield "base", large, "compiled-graphs"


def measure(context: Context, preset: str, batch: int, execution: str, peak: float) -> None:
    """Whole steps as `fedmol train` takes them, from the first report on."""
    began = time.perf_counter()
    if context.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, steps = steps_measured(context, preset, batch, execution)
    peak_memory = torch.cuda.max_memory_allocated() if context.device.type == "cuda" else None
    rates = [batch * steps / elapsed for elapsed in seconds]
    operations = operations_per_molecule(context, preset)
    rate = spread(rates)
    context.record.add(
        "training_speed",
        preset=preset,
        batch=batch,
        execution=execution,
        molecules_per_second=rate,
        step_milliseconds=1e3 * batch / rate["value"],
        megaflop_per_molecule=operations / 1e6,
        share_of_peak=operations * rate["value"] / peak,
        peak_memory_bytes=peak_memory,
        preparation_seconds=time.perf_counter() - began - sum(seconds),
    )


def steps_measured(context: Context, preset: str, batch: int, execution: str) -> tuple[list[float], int]:
    """Seconds between reports, which wait for the device, and the steps in each of these times."""
    denoiser, config = context.fresh(preset), TrainingConfig(batch_size=batch)
    NAMES[execution].prepare(denoiser)
    reports: list[tuple[int, float]] = []

    def look(report: StepReport) -> None:
        reports.append((report.step, time.perf_counter()))
        long_enough = reports[-1][1] - reports[0][1] > context.size.measuring_seconds
        if len(reports) > 2 and long_enough:
            raise _Enough

    with suppress(_Enough):
        context.train(denoiser, config, _EVER, on_step=look, execution=NAMES[execution])
    return [later - sooner for (_, sooner), (_, later) in pairwise(reports)], reports[1][0] - reports[0][0]


@cache
def operations_per_molecule(context: Context, preset: str) -> float:
    """Floating-point operations in the matrix products of a training step, counted on a small batch."""
    denoiser, config = context.fresh(preset), TrainingConfig(batch_size=context.size.parity_batch)
    with FlopCounterMode(display=False) as counter:
        context.train(denoiser, config, 1)
    operations: int = counter.get_total_flops()
    return operations / context.size.parity_batch
