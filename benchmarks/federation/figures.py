"""From what was measured to named figures, each with the command, the commit and the machine it comes from."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.federation.cost import Cost

Figure = dict[str, Any]
Figures = dict[str, Figure]
Value = Mapping[str, float]

ALLOWANCE = 0.7e9  # bytes: the process without any model
SITES = (2, 8, 32)
# What is asked for: figure -> what it is, and the most that it may be.
TARGETS = {
    "cpu_over_floor": ("processor time of a round, over the floor's", 1.6),
    "wall_over_floor": ("time of a round outside of training, over the floor's", 2.0),
    "memory_models": ("peak memory beyond 0.7 GB, in models", 4.0),
}


def figures_of(costs: Iterable[Cost], origin: Mapping[str, str]) -> Figures:
    """Every case's figures under `case/SITES/MODEL/`, and for each number of sites the worst case's.

    `origin` holds `command`, `commit` and `machine`, which every figure has.
    """
    named: dict[str, dict[str, Any]] = {}
    for cost in costs:
        for what, value in _measured(cost):
            named[f"case/{cost.case.sites}/{cost.case.model.name}/{what}"] = {**value}
    return {name: {**value, **origin} for name, value in {**dict(_worst(named)), **named}.items()}


def _measured(cost: Cost) -> Iterator[tuple[str, Value]]:
    ours, floor = cost.ours, cost.floor
    pairs = list(zip(ours.turns, floor.turns, strict=True))
    yield "cpu_over_floor", _spread([own.cpu_seconds / other.cpu_seconds for own, other in pairs])
    yield "wall_over_floor", _spread([own.seconds / other.seconds for own, other in pairs])
    yield "memory_models", _exactly((ours.peak_bytes - ALLOWANCE) / cost.model_bytes)
    for name, side in (("", ours), ("floor_", floor)):
        yield f"{name}cpu_seconds", _spread([turn.cpu_seconds for turn in side.turns])
        yield f"{name}seconds", _spread([turn.seconds for turn in side.turns])
        yield f"{name}peak_bytes", _exactly(side.peak_bytes)
    yield "model_bytes", _exactly(cost.model_bytes)


def _worst(named: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for what in TARGETS:
        for sites in SITES:
            found = {name: figure for name, figure in named.items() if name.startswith(f"case/{sites}/")}
            found = {name.split("/")[2]: figure for name, figure in found.items() if name.endswith(f"/{what}")}
            if found:
                model = max(found, key=lambda model: found[model]["value"])
                yield f"{what}_{sites}_sites", {**found[model], "model": model}


def _spread(values: Sequence[float]) -> Value:
    return {"value": statistics.median(values), "low": min(values), "high": max(values)}


def _exactly(value: float) -> Value:
    return {"value": value, "low": value, "high": value}
