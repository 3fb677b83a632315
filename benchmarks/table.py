"""The results as tables on the console."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.clock import Spread
from benchmarks.contenders import BASELINE
from benchmarks.results import Results
from benchmarks.time_to_nll import TARGETS, speed_up
from fedmol import formats


def print_results(console: Console, results: Results) -> None:
    """Everything in `results`, with the range over the rounds in brackets."""
    _machine(console, results)
    console.print(_training(results))
    console.print(_sampling(results))
    if results.memory:
        console.print(_memory(results))
    if results.time_to_nll:
        console.print(_time_to_nll(results))
    if results.reference:
        _reference(console, results)


def _machine(console: Console, results: Results) -> None:
    machine, rates = results.machine, results.ceilings
    where = machine.gpu or f"{machine.processor} ({', '.join(machine.flags)})"
    console.print(
        f"{where}, {machine.cores} cores, {machine.threads} threads, load {machine.load:.1f}, torch {machine.torch}\n"
        f"matrix products: {rates.gemm_float32.median:,.0f} GFLOP/s in float32, "
        f"{rates.gemm_bfloat16.median:,.0f} in bfloat16; memory: {rates.memory_in_place.median:.0f} GB/s in place, "
        f"{rates.memory_fresh.median:.1f} freshly allocated",
        highlight=False,
    )


def _table(title: str, *columns: str) -> Table:
    table = Table("", title=title, title_justify="left", box=box.SIMPLE)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _training(results: Results) -> Table:
    table = _table(
        f"training, {results.batch} molecules a step",
        f"molecules per {results.unit}",
        "times plain",
        "MFLOP each",
        "share of peak",
    )
    for name, speed in results.training.items():
        columns = _rate(speed.rate), _ratio(speed.ratio), formats.count(speed.megaflop)
        table.add_row(name, *columns, formats.percent(speed.share_of_peak))
    return table


def _sampling(results: Results) -> Table:
    title = f"sampling, {results.sampled} molecules; by default: fedmol's own sampler, times plain in 500 steps"
    table = _table(title, f"molecules per {results.unit}", "times plain")
    for way, speeds in (("500 steps", results.sampling_in_full), ("default", results.sampling_by_default)):
        for name, speed in speeds.items():
            table.add_row(f"{name}, {way}", _rate(speed.rate), _ratio(speed.ratio))
    return table


def _memory(results: Results) -> Table:
    table = _table(f"training, {results.memory_batch} molecules a step", "peak memory", "of plain's")
    for name, memory in results.memory.items():
        table.add_row(name, formats.size(memory.peak), formats.percent(memory.share))
    return table


def _time_to_nll(results: Results) -> Table:
    baseline = results.time_to_nll[BASELINE]
    table = _table(f"{results.unit}s until the NLL is", *(f"{target:.0f}" for target in TARGETS))
    for name, descent in results.time_to_nll.items():
        cells = []
        for target in TARGETS:
            taken, gain = descent.reached(target), speed_up(baseline, descent, target)
            cell = f"> {descent.limit:,.0f}" if taken is None else f"{taken:,.0f}"
            if gain and name != BASELINE:
                cell += f" ({'' if gain[1] else 'over '}{gain[0]:.1f} times sooner)"
            cells.append(cell)
        table.add_row(name, *cells)
    return table


def _reference(console: Console, results: Results) -> None:
    check = results.reference
    assert check
    low, high = check.bounds
    console.print(
        f"plain beside the reference's own code: {_rate(check.rate)} molecules per CPU-second here, "
        f"{check.expected:.0f} to be expected from the reference on this machine: {check.corrected:.2f} of it, "
        f"{'within' if check.within else 'NOT within'} 20 % (the memory's rates would say {low:.2f} to {high:.2f}); "
        f"matrix products take {formats.percent(check.matrix_share, 0)} of the time; "
        f"operations per molecule {check.operations:.2f}"
        + (f", memory per molecule {check.memory:.2f} of the reference's" if check.memory else ""),
        highlight=False,
    )


def _rate(spread: Spread) -> str:
    digits = 0 if spread.median >= 100 else 1 if spread.median >= 10 else 2
    return f"{spread.median:,.{digits}f} ({spread.low:,.{digits}f}-{spread.high:,.{digits}f})"


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.1f} ({spread.low:.1f}-{spread.high:.1f})"
