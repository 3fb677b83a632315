"""Generating graphs: from pure noise back to a clean graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor

from fedmol.diffusion.census import NoiseModel
from fedmol.diffusion.denoising import Denoises, evaluating
from fedmol.diffusion.noising import draw, draw_prior
from fedmol.diffusion.samplers import FEW_STEP, Sampler
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
            made = _sample_batch(denoiser, noise, drawn[part], generator, sampler, times, calls)
        n = made.width
        atoms[part, :n] = made.atoms.to(torch.int8)
        bonds[part, :n, :n] = made.bonds.to(torch.int8)
    return Graphs(atoms, bonds, drawn)


class _Calls:
    def __init__(self, total: int, on_step: Callable[[int, int], None] | None) -> None:
        self.done, self.total, self.on_step = 0, total, on_step

    def __call__(self) -> None:
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.total)


def _sample_batch(
    denoiser: Denoises,
    noise: NoiseModel,
    counts: Tensor,
    generator: Generator,
    sampler: Sampler,
    times: list[int],
    calls: _Calls,
) -> Graphs:
    graphs = draw_prior(counts, int(counts.max()), noise, generator)
    slots = Slots(graphs)
    for t, s in pairwise(times):
        graphs = reverse_step(denoiser, noise, graphs, t, s, generator, sampler, slots)
        calls()
    last = denoiser(graphs.atoms, graphs.bonds, counts, _time(graphs, times[-1], noise))
    calls()
    return slots.graphs(last.atoms.argmax(-1), slots.pairs(last.bonds).argmax(-1))


class Slots:
    """Where the graphs of a batch have atoms and unordered pairs of atoms; found once for all steps."""

    def __init__(self, graphs: Graphs) -> None:
        self.counts, self.atom_mask = graphs.counts, graphs.atom_mask
        self.first, self.second = torch.triu_indices(graphs.width, graphs.width, 1, device=graphs.counts.device)
        self.pair_mask = self.pairs(graphs.pair_mask)  # (B, P)

    def pairs(self, matrix: Tensor) -> Tensor:
        """(B, N, N, ...) -> (B, P, ...)."""
        return matrix[:, self.first, self.second]

    def graphs(self, atoms: Tensor, pairs: Tensor) -> Graphs:
        """The graphs of classes (B, N) and (B, P); what lies outside is 0."""
        batch, width = atoms.shape
        bonds = atoms.new_zeros(batch, width, width)
        bonds[:, self.first, self.second] = bonds[:, self.second, self.first] = pairs * self.pair_mask
        return Graphs(atoms * self.atom_mask, bonds, self.counts)


def reverse_step(
    denoiser: Denoises,
    noise: NoiseModel,
    graphs: Graphs,
    t: int,
    s: int,
    generator: Generator,
    sampler: Sampler,
    slots: Slots,
) -> Graphs:
    """A draw from p(z_s | z_t) for every atom and every unordered pair."""
    logits = denoiser(graphs.atoms, graphs.bonds, graphs.counts, _time(graphs, t, noise))
    kept_s, kept_t = noise.alphas_bar[s].float(), noise.alphas_bar[t].float()

    def earlier(logits: Tensor, noisy: Tensor, marginal: Tensor) -> Tensor:
        clean = (logits.float() / sampler.temperature).softmax(-1)
        return draw(sampler.transition(clean, noisy, kept_s, kept_t, marginal.float()), generator)

    atoms = earlier(logits.atoms, graphs.atoms, noise.atom_marginal)
    pairs = earlier(slots.pairs(logits.bonds), slots.pairs(graphs.bonds), noise.bond_marginal)
    return slots.graphs(atoms, pairs)


def _time(graphs: Graphs, t: int, noise: NoiseModel) -> Tensor:
    return torch.full((len(graphs),), t / noise.steps, device=graphs.counts.device)
