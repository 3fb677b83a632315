"""Generating graphs: from pure noise back to a clean graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor

from fedmol.diffusion.conditions import Conditions
from fedmol.diffusion.denoising import BATCH, Denoises, evaluating
from fedmol.diffusion.forward import draw, draw_prior
from fedmol.diffusion.guidance import Guides
from fedmol.diffusion.noise_model import NoiseModel
from fedmol.diffusion.samplers import FEW_STEP, Draw, Sampler
from fedmol.execution import EAGER, Execution, Work
from fedmol.graphs import HALF_EDGE_CODE, NODE_CODE, Graphs


def sample(
    denoiser: Denoises,
    noise: NoiseModel,
    count: int,
    generator: Generator,
    steps: int | None = None,
    batch_size: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    sampler: Sampler = FEW_STEP,
    execution: Execution = EAGER,
    conditions: Conditions | None = None,
    guidance: Guides | None = None,
) -> Graphs:
    """`count` new graphs, padded to the vocabulary's size, on the device of `noise` and `generator`.

    Every graph goes from pure noise through the sampler's times, in `steps` jumps or as many as it takes by itself. At
    the end stand the most probable classes (the reference returns z_0 itself, which is still slightly noisy). Molecules
    of like size share a batch. `on_step(calls done, calls in all)` is told after every call of the network.

    `conditions` has a row for each graph: what it is to be like, where the denoiser was trained for that. `guidance`
    answers in the denoiser's place; None asks the denoiser itself.

    Raises:
        ValueError: there are not `count` conditions.
    """
    if conditions is not None and len(conditions) != count:
        raise ValueError(f"{len(conditions)} conditions for {count} graphs")
    device, width = noise.size_distribution.device, noise.max_atoms
    drawn = draw(noise.size_distribution.expand(count, -1), generator)
    order = torch.argsort(drawn, stable=True)
    size = batch_size or BATCH[device.type]
    parts = torch.split(order, size)
    largest = [int(sizes[-1]) for sizes in torch.split(drawn[order].cpu(), size)]
    times = torch.tensor(sampler.times(noise.steps, steps), device=device)
    calls = _Calls(len(times) * len(parts), on_step)
    atoms = torch.zeros(count, width, dtype=NODE_CODE, device=device)
    bonds = torch.zeros(count, width, width, dtype=HALF_EDGE_CODE, device=device)
    shapes: dict[tuple[int, int], tuple[_Batch, Work, Work]] = {}  # what was captured for one part serves the next
    with evaluating(denoiser):
        for part, n in zip(parts, largest, strict=True):
            if (len(part), n) not in shapes:
                batch = _Batch(denoiser, noise, generator, sampler, len(part), n, guidance)
                shapes[len(part), n] = batch, execution.wrap(batch.step, generator), execution.wrap(batch.finish)
            batch, step, finish = shapes[len(part), n]
            batch.start(drawn[part], None if conditions is None else conditions[part])
            for t, s in pairwise(torch.split(times, 1)):
                step(t, s)
                calls()
            finish(times[-1:])
            calls()
            atoms[part, :n] = batch.atoms.to(NODE_CODE)
            bonds[part, :n, :n] = batch.bonds.to(HALF_EDGE_CODE)
    return Graphs(atoms, bonds, drawn)


class _Calls:
    def __init__(self, total: int, on_step: Callable[[int, int], None] | None) -> None:
        self.done, self.total, self.on_step = 0, total, on_step

    def __call__(self) -> None:
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.total)


class _Batch:
    """Graphs on their way from noise, in places that stay the same; times are tensors (1,), as steps are captured."""

    def __init__(
        self,
        denoiser: Denoises,
        noise: NoiseModel,
        generator: Generator,
        sampler: Sampler,
        rows: int,
        width: int,
        guidance: Guides | None,
    ) -> None:
        self.denoiser, self.noise, self.generator, self.sampler = denoiser, noise, generator, sampler
        self.guidance = guidance
        self.conditions: Conditions | None = None
        device = noise.size_distribution.device
        self.atoms = torch.zeros(rows, width, dtype=torch.int64, device=device)  # (B, N)
        self.bonds = torch.zeros(rows, width, width, dtype=torch.int64, device=device)  # (B, N, N)
        self.counts = torch.full((rows,), width, device=device)
        self.first, self.second = torch.triu_indices(width, width, 1, device=device)
        self.atom_mask = self._graphs.atom_mask  # (B, N)
        self.pair_mask = self._pairs(self._graphs.pair_mask)  # (B, P)

    def start(self, counts: Tensor, conditions: Conditions | None = None) -> None:
        """Pure noise for graphs of `counts` atoms."""
        if conditions is not None and self.conditions is not None:
            self.conditions.copy_(conditions)
        else:
            self.conditions = conditions
        graphs = draw_prior(counts, self.atoms.shape[1], self.noise, self.generator)
        self.atoms.copy_(graphs.atoms)
        self.bonds.copy_(graphs.bonds)
        self.counts.copy_(counts)
        self.atom_mask.copy_(graphs.atom_mask)
        self.pair_mask.copy_(self._pairs(graphs.pair_mask))

    def step(self, t: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        """A draw from p(z_s | z_t) for every atom and every unordered pair."""
        atoms, pairs = self._logits(t)
        kept_s, kept_t = self.noise.alphas_bar[s].float(), self.noise.alphas_bar[t].float()

        def earlier(way: Draw, logits: Tensor, noisy: Tensor, marginal: Tensor) -> Tensor:
            return draw(way.distribution(logits.float(), noisy, kept_s, kept_t, marginal.float()), self.generator)

        return self._become(
            earlier(self.sampler.atoms, atoms, self.atoms, self.noise.atom_marginal),
            earlier(self.sampler.bonds, pairs, self._pairs(self.bonds), self.noise.bond_marginal),
        )

    def finish(self, t: Tensor) -> tuple[Tensor, ...]:
        """The most probable clean classes given z_t."""
        atoms, pairs = self._logits(t)
        return self._become(atoms.argmax(-1), pairs.argmax(-1))

    @property
    def _graphs(self) -> Graphs:
        return Graphs(self.atoms, self.bonds, self.counts)

    def _logits(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Of the atoms (B, N, a) and the unordered pairs (B, P, b)."""
        time = (t / self.noise.steps).expand(len(self.counts))
        if self.guidance is None:
            atoms, bonds = self.denoiser(self.atoms, self.bonds, self.counts, time, self.conditions)
        else:
            atoms, bonds = self.guidance(self.denoiser, self._graphs, time, self.conditions)
        return atoms, self._pairs(bonds)

    def _pairs(self, matrix: Tensor) -> Tensor:
        return matrix[:, self.first, self.second]

    def _become(self, atoms: Tensor, pairs: Tensor) -> tuple[Tensor, ...]:
        self.atoms.copy_(atoms * self.atom_mask)
        self.bonds[:, self.first, self.second] = self.bonds[:, self.second, self.first] = pairs * self.pair_mask
        return self.atoms, self.bonds
