"""The noise a federation agrees on: how much of a clean graph is left after `t` steps, and what takes its place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fedmol.diffusion.census import Census

OFFSET = 0.008
LARGEST_BETA = 0.9999


def cosine_alphas_bar(steps: int) -> Tensor:
    """Probability that an entry is still untouched by the noise at t = 0..`steps`, float64.

    The discrete cosine schedule of DiGress (Nichol & Dhariwal 2021, equation 17, on `steps` + 2 points): already
    t = 0 is slightly noisy. Every single step is capped at `LARGEST_BETA`, as the reference does, so that the last
    value is tiny but not zero.
    """
    points = torch.arange(steps + 2, dtype=torch.float64) / (steps + 1)
    kept = torch.cos(0.5 * math.pi * (points + OFFSET) / (1 + OFFSET)) ** 2
    beta = (1 - kept[1:] / kept[:-1]).clamp(max=LARGEST_BETA)
    return torch.exp(torch.cumsum(torch.log1p(-beta), dim=0))  # (T + 1,)


@dataclass(frozen=True)
class NoiseModel:
    """The forward process: schedule, limit distributions, and how many atoms a molecule has. All float64."""

    steps: int  # T
    alphas_bar: Tensor  # (T + 1,)
    atom_marginal: Tensor  # (a,)
    bond_marginal: Tensor  # (b,)
    size_distribution: Tensor  # (N + 1,)

    @staticmethod
    def from_census(census: Census, steps: int = 500) -> NoiseModel:
        """The marginal noise model of DiGress for the counted molecules, with the cosine schedule."""

        def share(counts: Tensor) -> Tensor:
            return counts.double() / counts.sum().clamp_min(1)

        return NoiseModel.from_marginals(share(census.atoms), share(census.bonds), share(census.sizes), steps)

    @staticmethod
    def from_marginals(atoms: Tensor, bonds: Tensor, sizes: Tensor, steps: int = 500) -> NoiseModel:
        """The same from the shares of the classes, each float64 and adding up to 1."""
        return NoiseModel(steps, cosine_alphas_bar(steps), atoms, bonds, sizes)

    @property
    def max_atoms(self) -> int:
        return self.size_distribution.shape[0] - 1

    def to(self, device: torch.device | str) -> NoiseModel:
        return NoiseModel(
            self.steps,
            self.alphas_bar.to(device),
            self.atom_marginal.to(device),
            self.bond_marginal.to(device),
            self.size_distribution.to(device),
        )
