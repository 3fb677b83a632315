"""The batch of a step: drawn from the step's seed alone, noised, and cut into parts of molecules of like size.

The parts are passed through the network one after the other and their gradients added up, so that cutting saves
padding and changes nothing else: the gradient is that of the whole batch, up to the order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Generator, Tensor

from fedmol.diffusion import Conditions, NoiseModel, add_noise, stratified_times
from fedmol.graphs import Graphs
from fedmol.ragged import AnyGraphs, RaggedGraphs, check_symmetric
from fedmol.training.ranks import ALONE, Ranks

# The time of a training pass over b molecules padded to n atoms is about PASS + b n (n + ATOM), in units of one pair.
ATOM = 16  # measured, as the processor's PASS, with preset base
PASS = {"cpu": 3_500, "cuda": 200_000}  # the GPU's is estimated: 10 ms to start the kernels, 20 pairs a microsecond


@dataclass(frozen=True)
class Part:
    """Molecules of a batch that go through the network together."""

    clean: Graphs
    noisy: Graphs
    times: Tensor  # (B',) int64
    conditions: Conditions | None  # what the denoiser is told; None where the molecules have no properties


@dataclass(frozen=True)
class Batch:
    """All molecules of a step, and the parts of it that are this process's own."""

    clean: Graphs
    parts: list[Part]


class Batches(Protocol):
    """Draws the batches of a training, each from its step's seed alone, for one of several processes."""

    @property
    def generator(self) -> Generator:
        """The source of what is drawn on the device."""
        ...

    def seed(self, seed: int) -> None:
        """Say which step comes next."""
        ...

    def draw(self) -> Batch:
        """The batch of the step that was named last."""
        ...


def batches_of(
    graphs: AnyGraphs, noise: NoiseModel, batch_size: int, ranks: Ranks = ALONE, dropout: float = 0.0
) -> Batches:
    """The batches of `batch_size` molecules for the device where `graphs` are.

    Their properties, if they have any, become conditions, of which `dropout` makes some unknown in each batch.

    Raises:
        ValueError: see `check_symmetric`.
    """
    check_symmetric(graphs)
    if isinstance(graphs, RaggedGraphs) or graphs.counts.device.type == "cpu":
        return HostBatches(graphs, noise, batch_size, ranks, dropout)
    return DeviceBatches(graphs, noise, batch_size, ranks, dropout)


class HostBatches:
    """Every molecule is drawn from all of `graphs`; the host, which is the device, cuts each batch by its sizes."""

    def __init__(
        self, graphs: AnyGraphs, noise: NoiseModel, batch_size: int, ranks: Ranks = ALONE, dropout: float = 0.0
    ) -> None:
        self.graphs, self.noise, self.batch_size, self.ranks = graphs, noise, batch_size, ranks
        self.dropout, self.generator = dropout, Generator()

    def seed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def draw(self) -> Batch:
        chosen = torch.randint(len(self.graphs), (self.batch_size,), generator=self.generator)
        times = stratified_times(self.batch_size, 0, self.noise.steps, self.generator, chosen.device)
        sizes = self.graphs.counts[chosen]
        clean = self.graphs[chosen].narrowed(int(sizes.max()))
        noisy = add_noise(clean, times, self.noise, self.generator)
        conditions = _conditions(clean, self.dropout, self.generator)
        own = sizes.argsort(stable=True)[self.ranks.rank :: self.ranks.count].sort().values
        cuts = [own[piece] for piece in cut_by_size(sizes[own], PASS["cpu"])]
        return Batch(clean, [_part(clean, noisy, times, conditions, rows, int(sizes[rows].max())) for rows in cuts])


class DeviceBatches:
    """Batches whose shapes never change, drawn where `graphs` are: nothing waits, and a step can be captured.

    The molecules are put in the order of their sizes and cut into `batch_size` equal stretches; row i of every batch
    is drawn from stretch i. So each molecule is drawn as often as any other, each row has a size that is known
    beforehand, and parts are the same rows of every batch.
    """

    def __init__(
        self, graphs: Graphs, noise: NoiseModel, batch_size: int, ranks: Ranks = ALONE, dropout: float = 0.0
    ) -> None:
        device, sizes = graphs.counts.device, graphs.counts.cpu().sort().values
        self.graphs, self.noise, self.batch_size, self.dropout = graphs, noise.to(device), batch_size, dropout
        self.generator = Generator(device)
        self.in_order = graphs.counts.argsort(stable=True)
        self.stretch = len(graphs) / batch_size  # molecules
        self.rows = torch.arange(batch_size, dtype=torch.float64, device=device)
        ends = ((torch.arange(batch_size, dtype=torch.float64) + 1) * self.stretch).long().clamp(max=len(graphs) - 1)
        widths = sizes[ends]  # (B,) of the largest molecule of each stretch
        own = torch.arange(ranks.rank, batch_size, ranks.count)
        cuts = [own[piece] for piece in cut_by_size(widths[own], PASS["cuda"])]
        self.width = int(widths.max())
        self.parts = [(rows.to(device), int(widths[rows].max())) for rows in cuts]

    def seed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def draw(self) -> Batch:
        within = torch.rand(self.rows.shape, generator=self.generator, device=self.rows.device, dtype=torch.float64)
        places = ((self.rows + within) * self.stretch).long().clamp(max=len(self.graphs) - 1)
        times = stratified_times(self.batch_size, 0, self.noise.steps, self.generator, places.device)
        clean = self.graphs[self.in_order[places]].narrowed(self.width)
        noisy = add_noise(clean, times, self.noise, self.generator)
        conditions = _conditions(clean, self.dropout, self.generator)
        return Batch(clean, [_part(clean, noisy, times, conditions, rows, width) for rows, width in self.parts])


def _conditions(clean: Graphs, dropout: float, generator: Generator) -> Conditions | None:
    """What the denoiser is told of a whole batch; without properties nothing is drawn."""
    return None if clean.properties is None else Conditions.of(clean.properties).dropped(dropout, generator)


def _part(clean: Graphs, noisy: Graphs, times: Tensor, conditions: Conditions | None, rows: Tensor, width: int) -> Part:
    told = None if conditions is None else conditions[rows]
    return Part(clean[rows].narrowed(width), noisy[rows].narrowed(width), times[rows], told)


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
