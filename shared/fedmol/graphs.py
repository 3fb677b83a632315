"""A dense batch of molecular graphs in integer codes: the form in which a whole data set lives in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Graphs:
    """`B` graphs padded to `N` atoms.

    Atoms and bonds hold class indices of the federation's vocabulary; bond class 0 is "no bond". Everything
    outside the first `counts[b]` atoms of graph `b` is 0. Bonds are symmetric with a zero diagonal.
    """

    atoms: Tensor  # (B, N) int8
    bonds: Tensor  # (B, N, N) int8
    counts: Tensor  # (B,) int64

    def __len__(self) -> int:
        return self.counts.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Graphs:
        return Graphs(self.atoms[index], self.bonds[index], self.counts[index])

    @property
    def width(self) -> int:
        """`N`, the number of atom slots."""
        return self.atoms.shape[1]

    @property
    def atom_mask(self) -> Tensor:
        """True where an atom is real."""
        return torch.arange(self.width, device=self.counts.device) < self.counts[:, None]  # (B, N) bool

    @property
    def pair_mask(self) -> Tensor:
        """True where an ordered pair joins two different real atoms."""
        real = self.atom_mask
        other = ~torch.eye(self.width, dtype=torch.bool, device=real.device)
        return real[:, :, None] & real[:, None, :] & other  # (B, N, N) bool

    def to(self, device: torch.device | str) -> Graphs:
        return Graphs(self.atoms.to(device), self.bonds.to(device), self.counts.to(device))

    def trimmed(self) -> Graphs:
        """The same graphs without the slots that none of them uses."""
        return self.narrowed(int(self.counts.max()) if len(self) else 0)

    def narrowed(self, width: int) -> Graphs:
        """The first `width` slots, where no graph has more atoms."""
        return Graphs(self.atoms[:, :width], self.bonds[:, :width, :width], self.counts)

    def widened(self, width: int) -> Graphs:
        """With as many slots, at least as many as there are."""
        n, pad = width - self.width, torch.nn.functional.pad
        return Graphs(pad(self.atoms, (0, n)), pad(self.bonds, (0, n, 0, n)), self.counts)


def concatenate(parts: list[Graphs]) -> Graphs:
    """All graphs of `parts` in order, padded to the widest of them."""
    width = max(part.width for part in parts)
    wide = [part.widened(width) for part in parts]
    return Graphs(*(torch.cat([getattr(part, name) for part in wide]) for name in ("atoms", "bonds", "counts")))
