"""Molecules per second of sampling with the model that comes with fedmol; some are kept, to be judged afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.gpu.card import seconds_of
from benchmarks.gpu.context import Context
from benchmarks.gpu.molecules import save_graphs
from benchmarks.gpu.record import spread
from fedmol.diffusion import sample
from fedmol.execution import NAMES
from fedmol.graphs import Graphs

FILE = "samples-speed.safetensors"
STEPS = (15, 25)  # of the few-step sampler: valid .993 and .995 on a processor
_NEEDED = 5.0  # seconds that a measurement takes
_REPEATS = 2


def run(context: Context) -> None:
    """The stage; what the time does not suffice for is said."""
    for steps, batch, execution in plan(context):
        if not context.small and context.left < _NEEDED:
            context.skip(f"sampling {steps} {batch} {execution}", "no time left")
        else:
            context.attempt(f"sampling {steps} {batch} {execution}", measure, steps, batch, execution)
    context.attempt("keeping samples", _keep)


def plan(context: Context) -> Iterator[tuple[int, int, str]]:
    """Steps, molecules in a batch and execution of the measurements, in the order of their worth."""
    usual, large, least = context.size.sampling_batches
    few, many = STEPS
    captured = "graphs" in context.available_executions()
    yield few, usual, "eager"
    if captured:
        yield from ((few, batch, "graphs") for batch in (usual, large))
        yield many, usual, "graphs"
        yield few, least, "graphs"
    yield few, large, "eager"
    yield many, usual, "eager"


def measure(context: Context, steps: int, batch: int, execution: str) -> None:
    """From noise to graphs on the device; steps are captured anew in each call, as in a user's."""
    model, generator, count = context.trained(), context.generator(0), context.size.sampling_count

    def draw() -> Graphs:
        return sample(model.denoiser, model.noise, count, generator, steps, batch, execution=NAMES[execution])

    rates = [count / elapsed for elapsed in seconds_of(draw, context.device, _REPEATS)]
    context.record.add(
        "sampling_speed", steps=steps, batch=batch, execution=execution, molecules_per_second=spread(rates)
    )


def _keep(context: Context) -> None:
    """As many molecules as are judged, of each number of steps."""
    model, made = context.trained(), {}
    for steps in STEPS:
        made[str(steps)] = sample(model.denoiser, model.noise, context.size.samples, context.generator(1), steps)
    save_graphs(context.folder / FILE, made, {"vocabulary": model.vocabulary.name, "model": "shipped"})
    context.record.add("samples", file=FILE, sets=sorted(made), samples=context.size.samples)
