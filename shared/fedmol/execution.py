"""How the work of a step reaches its device: kernel by kernel, compiled, or captured once and then replayed.

A training step of preset `base` launches some 1,600 kernels. On a processor that costs nothing; on a GPU every launch
takes the host about as long as such a small kernel runs. Compiling makes fewer kernels of them, and a CUDA graph
launches all of them at once.
"""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from fedmol.errors import Exit, FedmolError

Work = Callable[..., tuple[Tensor, ...]]

WARM_UP = 3  # calls before a capture: kernels are loaded, buffers and the optimiser's state allocated


@dataclass(frozen=True)
class Execution:
    """`compiled`: the denoiser's blocks go through `torch.compile`. `captured`: whole steps become a CUDA graph."""

    compiled: bool = False
    captured: bool = False

    def prepare(self, denoiser: nn.Module) -> None:
        """Have the blocks of `denoiser` compiled when they are first called; its state and its names stay."""
        if self.compiled:
            for block in denoiser.get_submodule("blocks").children():
                block.compile(dynamic=False)

    def wrap(self, work: Work, *generators: Generator) -> Work:
        """`work` itself, or a `Capture` of it."""
        return Capture(work, *generators) if self.captured else work


EAGER = Execution()
NAMES: dict[str, Execution] = {
    "eager": EAGER,
    "compiled": Execution(compiled=True),
    "graphs": Execution(captured=True),
    "compiled-graphs": Execution(compiled=True, captured=True),
}
COMPILERS = {"cpu": ("g++", "clang++"), "cuda": ("gcc", "clang")}  # that torch.compile looks for


def execution_named(name: str, device: torch.device, *, only_eager: bool = False, processes: int = 1) -> Execution:
    """The execution called `name` on `device`, for a denoiser (see `DenoiserConfig.only_eager`) and so many processes.

    Raises:
        FedmolError: BAD_SETTINGS where it cannot be had.
    """
    execution = NAMES[_fastest(device, only_eager, processes) if name == "auto" else name]
    if only_eager and execution != EAGER:
        raise _impossible(name, "preset digress runs eagerly only (eigenvalues, hand-written gradients)", "eager")
    other = "compiled" if execution.compiled else "eager"
    if execution.compiled and (missing := _missing_for_compiling(device)):
        raise _impossible(name, f"torch.compile needs {missing}, which is not here", "eager")
    if execution.captured and device.type != "cuda":
        raise _impossible(name, f"the device is {device.type}, and CUDA graphs need an NVIDIA GPU", other)
    if execution.captured and processes > 1:
        raise _impossible(name, f"what {processes} training processes exchange is not captured", other)
    return execution


def _fastest(device: torch.device, only_eager: bool, processes: int) -> str:
    """What `auto` stands for, as measured: on processors in ADR 8, on a GPU in docs/results/gpu.md."""
    return "graphs" if device.type == "cuda" and not only_eager and processes == 1 else "eager"


def _missing_for_compiling(device: torch.device) -> str | None:
    if not any(map(shutil.which, COMPILERS[device.type])):
        return f"a compiler ({' or '.join(COMPILERS[device.type])})"
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    return None if header.exists() else f"Python's header file {header.name}"


def _impossible(name: str, reason: str, other: str) -> FedmolError:
    return FedmolError(
        Exit.BAD_SETTINGS,
        f"execution {name!r} is not possible: {reason}",
        f"set training.execution (on the command line --execution) to auto or {other}",
    )


class Capture:
    """`work(*inputs)`, captured as a CUDA graph after `WARM_UP` calls and replayed from then on.

    Every call does the work exactly once, on the shapes of the first call. Inputs are copied to fixed places; the
    outputs of a replay stay valid until the next call. The work must not wait for the device nor look at values.
    What it draws, it draws from `generators` and torch's own: seeded anew between calls, they give a replay the numbers
    they would give the work itself.
    """

    def __init__(self, work: Work, *generators: Generator) -> None:
        self._work, self._generators = work, generators
        self._inputs: tuple[Tensor, ...] | None = None
        self._calls = 0
        self._replay: Callable[[], tuple[Tensor, ...]] | None = None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self._inputs is None:
            self._inputs = tuple(tensor.clone() for tensor in inputs)
        else:
            for place, given in zip(self._inputs, inputs, strict=True):
                place.copy_(given, non_blocking=True)
        if self._calls < WARM_UP:
            self._calls += 1
            return _on_side_stream(self._work, self._inputs)
        if self._replay is None:
            self._replay = _captured(self._work, self._inputs, self._generators)
        return self._replay()


def _on_side_stream(work: Work, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The work on a stream of its own, as it must be before a capture (torch's notes on CUDA graphs)."""
    here, side = torch.cuda.current_stream(), _side_stream()
    side.wait_stream(here)
    with torch.cuda.stream(side):
        outputs = work(*inputs)
    here.wait_stream(side)
    return outputs


@cache
def _side_stream() -> torch.cuda.Stream:
    """One for all: what a stream has allocated is kept for its own next work."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _captured(
    work: Work, inputs: tuple[Tensor, ...], generators: tuple[Generator, ...]
) -> Callable[[], tuple[Tensor, ...]]:
    """Capture the work without doing it; the function that replays it and returns its outputs."""
    graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    for generator in generators:
        graph.register_generator_state(generator)
    try:
        with torch.cuda.graph(graph):
            outputs = work(*inputs)
    except BaseException:
        torch.cuda.set_stream(here)  # torch leaves the stream of a failed capture behind
        raise

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return outputs

    return replay
