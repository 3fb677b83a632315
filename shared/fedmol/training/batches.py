"""The batch of a step: drawn from the step's seed alone, noised, and cut into parts of molecules of like size.

The parts are passed through the network one after the other and their gradients added up, so that cutting saves
padding and changes nothing else: the gradient is that of the whole batch, up to the order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor

from fedmol.diffusion import NoiseModel, add_noise, stratified_times
from fedmol.graphs import Graphs

# The time of a training pass over b molecules padded to n atoms is about PASS + b n (n + ATOM), in units of one pair.
ATOM = 16  # measured, as the processor's PASS, with preset base
PASS = {"cpu": 3_500, "cuda": 200_000}  # the GPU's is estimated: 10 ms to start the kernels, 20 pairs a microsecond


@dataclass(frozen=True)
class Part:
    """Molecules of a batch that go through the network together."""

    clean: Graphs
    noisy: Graphs
    times: Tensor  # (B',) int64


@dataclass(frozen=True)
class Batch:
    """All molecules of a step, and the parts of it that are this process's own."""

    clean: Graphs
    parts: list[Part]


class Batches:
    """Draws batches of `batch_size` from `graphs`, on the device where they are, for process `rank` of `ranks`.

    Nothing waits for the device: which molecules, their sizes and their times are known to the host.
    """

    def __init__(self, graphs: Graphs, noise: NoiseModel, batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self.graphs, self.batch_size, self.rank, self.ranks = graphs, batch_size, rank, ranks
        self.device = graphs.counts.device
        self.noise, self.sizes = noise.to(self.device), graphs.counts.cpu()

    def draw(self, seed: int) -> Batch:
        host = Generator().manual_seed(seed)
        draws = host if self.device.type == "cpu" else Generator(self.device).manual_seed(seed)
        chosen = torch.randint(len(self.sizes), (self.batch_size,), generator=host)
        drawn = stratified_times(self.batch_size, 0, self.noise.steps, host, self.sizes.device)
        sizes, times = self.sizes[chosen], self._to_device(drawn)
        clean = self.graphs[self._to_device(chosen)].narrowed(int(sizes.max()))
        noisy = add_noise(clean, times, self.noise, draws)
        own = sizes.argsort(stable=True)[self.rank :: self.ranks].sort().values
        parts = []
        for piece in cut_by_size(sizes[own], PASS[self.device.type]):
            width, rows = int(sizes[own[piece]].max()), self._to_device(own[piece])
            parts.append(Part(clean[rows].narrowed(width), noisy[rows].narrowed(width), times[rows]))
        return Batch(clean, parts)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)


def cut_by_size(sizes: Tensor, pass_time: int) -> list[Tensor]:
    """The rows of graphs of `sizes` atoms, in those groups of like size whose training passes take the least time."""
    found, amounts = torch.unique(sizes, return_counts=True)
    widths, ends = found.tolist(), [0, *amounts.cumsum(0).tolist()]
    best: list[tuple[int, list[int]]] = [(0, [0])]  # per number of sizes: the time, and where the groups end
    for last, width in enumerate(widths):
        row_time = width * (width + ATOM)
        choices = ((time + pass_time + (ends[last + 1] - cuts[-1]) * row_time, cuts) for time, cuts in best)
        time, cuts = min(choices, key=lambda choice: choice[0])
        best.append((time, [*cuts, ends[last + 1]]))
    by_size = sizes.argsort(stable=True)
    return [by_size[start:end].sort().values for start, end in pairwise(best[-1][1])]
