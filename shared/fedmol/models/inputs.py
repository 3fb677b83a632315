"""What a denoiser sees of a noisy graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fedmol.graphs import Graphs


@dataclass(frozen=True)
class NoisyGraphs:
    """A batch of noisy graphs with its one-hot codes and masks as float."""

    atoms: Tensor  # (B, N, a), zero outside the graph
    bonds: Tensor  # (B, N, N, b), zero outside the graph
    counts: Tensor  # (B,)
    time: Tensor  # (B,)
    atom_mask: Tensor  # (B, N) bool

    @staticmethod
    def of(atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, atom_types: int, bond_types: int) -> NoisyGraphs:
        mask = Graphs(atoms, bonds, counts).atom_mask
        real = mask.float()
        return NoisyGraphs(
            one_hot(atoms.long(), atom_types) * real[:, :, None],
            one_hot(bonds.long(), bond_types) * (real[:, :, None] * real[:, None, :])[..., None],
            counts,
            time,
            mask,
        )

    @property
    def adjacency(self) -> Tensor:
        """1 where any bond is. (B, N, N)"""
        return self.bonds[..., 1:].sum(-1)


@dataclass(frozen=True)
class Features:
    """Inputs of the three streams; node and pair features begin with the one-hot codes."""

    nodes: Tensor  # (B, N, fx)
    pairs: Tensor  # (B, P, fe) or (B, N, N, fe)
    whole: Tensor  # (B, fy)


def walk_powers(adjacency: Tensor, length: int) -> Tensor:
    """Powers 1..`length` of the symmetrically normalised adjacency, (B, N, N, length).

    D^-1/2 A D^-1/2 has the same return probabilities on its diagonal as the random walk D^-1 A, and differs off the
    diagonal by a factor of the two degrees only, but it is symmetric (relative random walk probabilities,
    Ma et al. 2023).
    """
    degree = adjacency.sum(-1).clamp_min(1).rsqrt()
    step = adjacency * degree[:, :, None] * degree[:, None, :]
    powers = [step]
    for _ in range(length - 1):
        powers.append(powers[-1] @ step)
    return torch.stack(powers, dim=-1)
