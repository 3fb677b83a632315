"""Molecules per second of training: presets, batch sizes and executions, the most telling ones first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.card import ceilings
from benchmarks.gpu.record import spread
from benchmarks.gpu.setting import Setting
from fedmol.execution import NAMES
from fedmol.training import StepReport, TrainingConfig, build_optimizer, train

_NEEDED = 4.0  # seconds that a measurement takes, its preparation included
_COMPILING = 35.0  # seconds
_EVER = 10**6  # steps: more than are ever taken


class _Enough(Exception):
    """Ends a training that has been measured."""


def run(setting: Setting) -> None:
    """The stage; what the time does not suffice for is said."""
    found = ceilings(setting.device, setting.small)
    setting.record.add("ceilings", **found)
    peak = found["bfloat16_tflops"]["value"] * 1e12
    for preset, batch, execution in plan(setting):
        needed = 0.0 if setting.small else _NEEDED + _COMPILING * NAMES[execution].compiled
        if setting.left < needed:
            setting.skip(f"training {preset} {batch} {execution}", "no time left")
        else:
            setting.attempt(f"training {preset} {batch} {execution}", measure, preset, batch, execution, peak)


def plan(setting: Setting) -> Iterator[tuple[str, int, str]]:
    """Preset, batch size and execution of the measurements, in the order of their worth."""
    sizes, own = setting.size.batches, setting.executions()
    usual, large, least = sizes[0], sizes[1], sizes[-1]
    yield "base", usual, "eager"  # should recording fail, this is known
    if "graphs" in own:
        yield from (("base", batch, "graphs") for batch in sizes)
    yield "base", large, "eager"
    if "compiled-graphs" in own:
        yield from (("base", usual, name) for name in ("compiled-graphs", "compiled"))
    for preset in ("large", "small"):
        yield from ((preset, batch, "graphs" if "graphs" in own else "eager") for batch in (usual, large))
    yield from (("digress", batch, "eager") for batch in (usual, least))
    yield from (("base", batch, "eager") for batch in sizes[2:])
    if "compiled-graphs" in own:
        yield "base", large, "compiled-graphs"


def measure(setting: Setting, preset: str, batch: int, execution: str, peak: float) -> None:
    """Whole steps as `fedmol train` takes them, from the first report on."""
    began = time.perf_counter()
    if setting.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, steps = steps_measured(setting, preset, batch, execution)
    rates = [batch * steps / one for one in seconds]
    operations = operations_per_molecule(setting, preset)
    rate = spread(rates)
    setting.record.add(
        "training_speed",
        preset=preset,
        batch=batch,
        execution=execution,
        molecules_per_second=rate,
        step_milliseconds=1e3 * batch / rate["value"],
        megaflop_per_molecule=operations / 1e6,
        share_of_peak=operations * rate["value"] / peak,
        peak_memory_bytes=torch.cuda.max_memory_allocated() if setting.device.type == "cuda" else None,
        preparation_seconds=time.perf_counter() - began - sum(seconds),
    )


def steps_measured(setting: Setting, preset: str, batch: int, execution: str) -> tuple[list[float], int]:
    """Seconds between reports, which wait for the device, and the steps in each of these times."""
    denoiser, config = setting.fresh(preset), TrainingConfig(batch_size=batch)
    NAMES[execution].prepare(denoiser)
    reports: list[tuple[int, float]] = []

    def look(report: StepReport) -> None:
        reports.append((report.step, time.perf_counter()))
        long_enough = reports[-1][1] - reports[0][1] > setting.size.turn
        if len(reports) > 2 and long_enough:
            raise _Enough

    with suppress(_Enough):
        train(
            denoiser,
            build_optimizer(denoiser, config),
            setting.molecules.noise.to(setting.device),
            setting.molecules.training.to(setting.device),
            first_step=0,
            steps=_EVER,
            total_steps=_EVER,
            config=config,
            generator=torch.Generator().manual_seed(0),
            on_step=look,
            execution=NAMES[execution],
        )
    return [later - sooner for (_, sooner), (_, later) in pairwise(reports)], reports[1][0] - reports[0][0]


@cache
def operations_per_molecule(setting: Setting, preset: str) -> float:
    """Floating-point operations in the matrix products of a training step, counted on a small batch."""
    denoiser, config = setting.fresh(preset), TrainingConfig(batch_size=setting.size.parity_batch)
    given: dict[str, Any] = {"first_step": 0, "steps": 1, "total_steps": 1, "config": config}
    generator = torch.Generator().manual_seed(0)
    noise, graphs = setting.molecules.noise.to(setting.device), setting.molecules.training.to(setting.device)
    with FlopCounterMode(display=False) as counter:
        train(denoiser, build_optimizer(denoiser, config), noise, graphs, **given, generator=generator)
    operations: int = counter.get_total_flops()
    return operations / setting.size.parity_batch
