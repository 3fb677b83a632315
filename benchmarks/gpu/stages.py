"""The stages of a run. A new one is a module with a function, and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.gpu import five_minutes, kernels, parity, processes, sampling_speed, training_speed
from benchmarks.gpu.context import Context


@dataclass(frozen=True)
class Stage:
    """One part of a run, in a process of its own: whatever becomes of it, the others take place."""

    what: str  # what it does, for the page
    seconds: float  # time limit, once its process is up
    run: Callable[[Context], None]


RUN_SECONDS = 560.0  # of all stages together, which leaves some for starting their processes
# In the order of what a cut should leave.
STAGES = {
    "parity": Stage(
        "logits, loss, gradients, samplers against a processor; captured against eager steps; resume; synchronisation",
        45.0,
        parity.run,
    ),
    "training-speed": Stage(
        "training throughput by preset, batch size and execution; the card's own rates", 70.0, training_speed.run
    ),
    "kernels": Stage("where the time of a training step goes", 20.0, kernels.run),
    "sampling-speed": Stage("sampling throughput", 25.0, sampling_speed.run),
    "five-minutes": Stage(
        "five minutes of training on QM9, both NLLs, 10,000 molecules from three samplers", 325.0, five_minutes.run
    ),
    "processes": Stage("two processes sharing each batch", 25.0, processes.run),
    "compiled": Stage("compiled steps against eager ones", 50.0, parity.run_compiled),
}
