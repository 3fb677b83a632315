"""Generating graphs: from pure noise back to a clean graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor

from fedmol.diffusion.census import NoiseModel
from fedmol.diffusion.denoising import Denoises, evaluating
from fedmol.diffusion.noising import draw, draw_prior, mirrored
from fedmol.diffusion.posterior import mixture_posterior
from fedmol.graphs import Graphs


def time_grid(last: int, steps: int) -> list[int]:
    """Times visited on the way from `last` to 0: `steps` jumps as even as integers allow."""
    jumps = max(1, min(steps, last))
    return [round(last * (jumps - jump) / jumps) for jump in range(jumps + 1)]


def sample(
    denoiser: Denoises,
    noise: NoiseModel,
    count: int,
    generator: Generator,
    steps: int | None = None,
    batch_size: int = 256,
    on_step: Callable[[int, int], None] | None = None,
) -> Graphs:
    """`count` new graphs, int8 codes padded to the vocabulary's size.

    Ancestral sampling with the mixture posterior, over all T steps or over `steps` longer ones; at the end the most
    probable classes given z_0 (the reference returns z_0 itself, which is still slightly noisy). Molecules of like
    size share a batch. `on_step(calls done, calls in all)` is told after every call of the network.
    """
    grid = time_grid(noise.steps, steps or noise.steps)
    drawn = draw(noise.size_distribution.expand(count, -1), generator)
    order = torch.argsort(drawn, stable=True)
    parts = torch.split(order, batch_size)
    calls = _Calls(len(grid) * len(parts), on_step)
    device = noise.size_distribution.device
    width = noise.max_atoms
    atoms = torch.zeros(count, width, dtype=torch.int8, device=device)
    bonds = torch.zeros(count, width, width, dtype=torch.int8, device=device)
    for part in parts:
        with evaluating(denoiser):
            made = _sample_batch(denoiser, noise, drawn[part], generator, grid, calls)
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
    denoiser: Denoises, noise: NoiseModel, counts: Tensor, generator: Generator, grid: list[int], calls: _Calls
) -> Graphs:
    graphs = draw_prior(counts, int(counts.max()), noise, generator)
    for t, s in pairwise(grid):
        graphs = reverse_step(denoiser, noise, graphs, t, s, generator)
        calls()
    time = torch.zeros(len(graphs), device=counts.device)
    last = denoiser(graphs.atoms, graphs.bonds, graphs.counts, time)
    calls()
    return Graphs(last.atoms.argmax(-1) * graphs.atom_mask, last.bonds.argmax(-1) * graphs.pair_mask, graphs.counts)


def reverse_step(denoiser: Denoises, noise: NoiseModel, graphs: Graphs, t: int, s: int, generator: Generator) -> Graphs:
    """A draw from p(z_s | z_t) for every atom and every unordered pair."""
    time = torch.full((len(graphs),), t / noise.steps, device=graphs.counts.device)
    logits = denoiser(graphs.atoms, graphs.bonds, graphs.counts, time)
    kept_s, kept_t = noise.alphas_bar[s].float(), noise.alphas_bar[t].float()

    def earlier(logits: Tensor, noisy: Tensor, marginal: Tensor) -> Tensor:
        posterior = mixture_posterior(logits.float().softmax(-1), noisy, kept_s, kept_t, marginal.float())
        return draw(posterior, generator)

    atoms = earlier(logits.atoms, graphs.atoms, noise.atom_marginal)
    bonds = mirrored(earlier(logits.bonds, graphs.bonds, noise.bond_marginal))
    return Graphs(atoms * graphs.atom_mask, bonds * graphs.pair_mask, graphs.counts)
