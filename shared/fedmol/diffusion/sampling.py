"""Generating graphs: from pure noise back to a clean graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor

from fedmol.diffusion.census import NoiseModel
from fedmol.diffusion.denoising import Denoises, evaluating
from fedmol.diffusion.noising import draw, draw_prior
from fedmol.diffusion.samplers import FEW_STEP, Draw, Sampler
from fedmol.graphs import Graphs


def sample(
    denoiser: Denoises,
    noise: NoiseModel,
    count: int,
    generator: Generator,
    steps: int | None = None,
    batch_size: int = 256,
    on_step: Callable[[int, int], None] | None = None,
    sampler: Sampler = FEW_STEP,
) -> Graphs:
    """`count` new graphs, int8 codes padded to the vocabulary's size.

    Every graph goes from pure noise through the sampler's times, in `steps` jumps or as many as it takes by itself. At
    the end stand the most probable classes (the reference returns z_0 itself, which is still slightly noisy). Molecules
    of like size share a batch. `on_step(calls done, calls in all)` is told after every call of the network.
    """
    times = sampler.times(noise.steps, steps)
    drawn = draw(noise.size_distribution.expand(count, -1), generator)
    order = torch.argsort(drawn, stable=True)
    parts = torch.split(order, batch_size)
    calls = _Calls(len(times) * len(parts), on_step)
    device = noise.size_distribution.device
    width = noise.max_atoms
    atoms = torch.zeros(count, width, dtype=torch.int8, device=device)
    bonds = torch.zeros(count, width, width, dtype=torch.int8, device=device)
    for part in parts:
        with evaluating(denoiser):
            batch = _Batch(denoiser, noise, drawn[part], generator)
            for t, s in pairwise(times):
                batch.step(sampler, t, s)
                calls()
            batch.finish(times[-1])
            calls()
        n = batch.graphs.width
        atoms[part, :n] = batch.graphs.atoms.to(torch.int8)
        bonds[part, :n, :n] = batch.graphs.bonds.to(torch.int8)
    return Graphs(atoms, bonds, drawn)


class _Calls:
    def __init__(self, total: int, on_step: Callable[[int, int], None] | None) -> None:
        self.done, self.total, self.on_step = 0, total, on_step

    def __call__(self) -> None:
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.total)


class _Batch:
    """Graphs on their way from noise; where they have atoms and pairs of atoms is found once for all steps."""

    def __init__(self, denoiser: Denoises, noise: NoiseModel, counts: Tensor, generator: Generator) -> None:
        self.denoiser, self.noise, self.generator = denoiser, noise, generator
        self.graphs = draw_prior(counts, int(counts.max()), noise, generator)
        self.first, self.second = torch.triu_indices(self.graphs.width, self.graphs.width, 1, device=counts.device)
        self.atom_mask, self.pair_mask = self.graphs.atom_mask, self._pairs(self.graphs.pair_mask)  # (B, N), (B, P)

    def step(self, sampler: Sampler, t: int, s: int) -> None:
        """A draw from p(z_s | z_t) for every atom and every unordered pair."""
        atoms, pairs = self._logits(t)
        kept_s, kept_t = self.noise.alphas_bar[s].float(), self.noise.alphas_bar[t].float()

        def earlier(way: Draw, logits: Tensor, noisy: Tensor, marginal: Tensor) -> Tensor:
            return draw(way.distribution(logits.float(), noisy, kept_s, kept_t, marginal.float()), self.generator)

        self._become(
            earlier(sampler.atoms, atoms, self.graphs.atoms, self.noise.atom_marginal),
            earlier(sampler.bonds, pairs, self._pairs(self.graphs.bonds), self.noise.bond_marginal),
        )

    def finish(self, t: int) -> None:
        """The most probable clean classes given z_t."""
        atoms, pairs = self._logits(t)
        self._become(atoms.argmax(-1), pairs.argmax(-1))

    def _logits(self, t: int) -> tuple[Tensor, Tensor]:
        """Of the atoms (B, N, a) and the unordered pairs (B, P, b)."""
        time = torch.full((len(self.graphs),), t / self.noise.steps, device=self.graphs.counts.device)
        atoms, bonds = self.denoiser(self.graphs.atoms, self.graphs.bonds, self.graphs.counts, time)
        return atoms, self._pairs(bonds)

    def _pairs(self, matrix: Tensor) -> Tensor:
        return matrix[:, self.first, self.second]

    def _become(self, atoms: Tensor, pairs: Tensor) -> None:
        bonds = torch.zeros_like(self.graphs.bonds)
        bonds[:, self.first, self.second] = bonds[:, self.second, self.first] = pairs * self.pair_mask
        self.graphs = Graphs(atoms * self.atom_mask, bonds, self.graphs.counts)
