"""Drawing noisy graphs: one draw per atom and one per unordered pair of atoms."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from fedmol.diffusion.noise_model import NoiseModel
from fedmol.graphs import Graphs


def draw(distribution: Tensor, generator: Generator) -> Tensor:
    """One class index per row of `distribution` (..., k); rows need not be normalised."""
    cumulative = distribution.cumsum(-1)
    height = torch.rand(distribution.shape[:-1], generator=generator, device=distribution.device)
    below = cumulative[..., :-1] <= height[..., None] * cumulative[..., -1:]
    return below.sum(-1)  # (...) int64


def draw_marginal(marginal: Tensor, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Independent class indices from one distribution `marginal` (k,)."""
    height = torch.rand(shape, generator=generator, device=marginal.device, dtype=marginal.dtype)
    return torch.bucketize(height, marginal.cumsum(0)[:-1], right=True)  # shape, int64


def mirrored(pairs: Tensor) -> Tensor:
    """`pairs` (B, N, N) with the lower triangle replaced by the upper one and a zero diagonal."""
    upper = pairs.triu(1)
    return upper + upper.mT


def stratified_times(count: int, first: int, last: int, generator: Generator, device: torch.device) -> Tensor:
    """`count` times in first..last, spread evenly over the range and shuffled: each is uniform by itself."""
    start = torch.rand(1, generator=generator, device=device, dtype=torch.float64)
    spread = (torch.arange(count, device=device) + start) / count
    order = torch.randperm(count, generator=generator, device=device)
    return first + (spread[order] * (last - first + 1)).long().clamp(max=last - first)  # (B,) int64


def add_noise(graphs: Graphs, times: Tensor, noise: NoiseModel, generator: Generator) -> Graphs:
    """A draw from q(z_t | x), as int64 codes without properties.

    Each entry keeps its class with probability alphas-bar(t), or else takes one from its marginal:
    q(z_t | x) = alphas-bar(t) x + (1 - alphas-bar(t)) m, the row x of Q-bar_t (Vignac et al. 2023, section 4.1). A pair
    is one entry: it keeps both of its half-edges, or takes one class for both.
    """
    kept = noise.alphas_bar[times].float()

    def drawn(like: Tensor, marginal: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Where the class stays, and what takes its place elsewhere."""
        stays = torch.rand(like.shape, generator=generator, device=like.device) < kept
        return stays, draw_marginal(marginal, tuple(like.shape), generator)

    stays, others = drawn(graphs.atoms, noise.atom_marginal, kept[:, None])
    atoms = torch.where(stays, graphs.atoms.long(), others)
    stays, others = drawn(graphs.bonds, noise.bond_marginal, kept[:, None, None])
    bonds = torch.where(mirrored(stays), graphs.bonds.long(), mirrored(others))
    return Graphs(atoms * graphs.atom_mask, bonds * graphs.pair_mask, graphs.counts)


def draw_prior(counts: Tensor, width: int, noise: NoiseModel, generator: Generator) -> Graphs:
    """Pure noise: graphs of `counts` atoms with every entry drawn from the marginals."""
    batch = counts.shape[0]
    atoms = draw_marginal(noise.atom_marginal, (batch, width), generator)
    bonds = mirrored(draw_marginal(noise.bond_marginal, (batch, width, width), generator))
    empty = Graphs(atoms, bonds, counts)
    return Graphs(atoms * empty.atom_mask, bonds * empty.pair_mask, counts)
