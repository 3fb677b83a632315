"""Where to compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from fedmol.errors import Exit, FedmolError

DeviceName = Literal["auto", "cpu", "cuda"]


def device_named(name: DeviceName) -> torch.device:
    """The processor, or the first GPU; `auto` is the GPU where there is one.

    Raises:
        FedmolError: BAD_SETTINGS when a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise FedmolError(
            Exit.BAD_SETTINGS,
            "the device is to be cuda, but torch sees no GPU here",
            "take auto or cpu, or install the driver and a torch built for CUDA",
        )
    return torch.device("cuda:0" if name != "cpu" and torch.cuda.is_available() else "cpu")


def processes_on(device: torch.device, processes: int | Literal["auto"]) -> int:
    """How many processes train together: `auto` is one per GPU, and one on the processor.

    Raises:
        FedmolError: BAD_SETTINGS when there are fewer GPUs than processes.
    """
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if processes == "auto":
        return max(1, gpus)
    if gpus and processes > gpus:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"{processes} training processes for {gpus} GPUs",
            "set training.processes to auto, or to at most the number of GPUs",
        )
    return processes


@contextmanager
def threads_set(number: int) -> Iterator[None]:
    """Use so many threads of the processor in this block, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
