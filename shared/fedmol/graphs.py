"""A dense batch of graphs in integer codes: the form in which networks and samplers take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

NODE_CODE, HALF_EDGE_CODE = torch.int16, torch.int8  # as graphs are stored; while they are computed with, int64


@dataclass(frozen=True)
class Graphs:
    """`B` graphs padded to `N` nodes, in class indices of the federation's vocabulary.

    A node is an atom. A pair of nodes carries two half-edges: `bonds[b, i, j]` is what node i shows towards node j,
    and `bonds[b, j, i]` what j shows towards i. 0 means "no bond", and stands in both directions or in neither. The
    bonds of atoms are the special case in which both half-edges are equal: such graphs are `symmetric`.

    The diagonal, and everything outside the first `counts[b]` nodes of graph b, is 0. `properties` holds one column for
    each declared property, NaN where it is not known; it is None where no property is declared.
    """

    atoms: Tensor  # (B, N) int16
    bonds: Tensor  # (B, N, N) int8
    counts: Tensor  # (B,) int64
    properties: Tensor | None = None  # (B, K) float32

    def __len__(self) -> int:
        return self.counts.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Graphs:
        properties = None if self.properties is None else self.properties[index]
        return Graphs(self.atoms[index], self.bonds[index], self.counts[index], properties)

    @property
    def width(self) -> int:
        """`N`, the number of slots for nodes."""
        return self.atoms.shape[1]

    @property
    def atom_mask(self) -> Tensor:
        """True where a node is real."""
        return torch.arange(self.width, device=self.counts.device) < self.counts[:, None]  # (B, N) bool

    @property
    def pair_mask(self) -> Tensor:
        """True where an ordered pair joins two different real nodes."""
        real = self.atom_mask
        other = ~torch.eye(self.width, dtype=torch.bool, device=real.device)
        return real[:, :, None] & real[:, None, :] & other  # (B, N, N) bool

    @property
    def symmetric(self) -> bool:
        """True if the two half-edges of every pair are equal. On a GPU, asking waits for it."""
        return bool((self.bonds == self.bonds.mT).all())

    def to(self, device: torch.device | str) -> Graphs:
        properties = None if self.properties is None else self.properties.to(device)
        return Graphs(self.atoms.to(device), self.bonds.to(device), self.counts.to(device), properties)

    def trimmed(self) -> Graphs:
        """The same graphs without the slots that none of them uses."""
        return self.narrowed(int(self.counts.max()) if len(self) else 0)

    def narrowed(self, width: int) -> Graphs:
        """The first `width` slots, where no graph has more nodes."""
        return replace(self, atoms=self.atoms[:, :width], bonds=self.bonds[:, :width, :width])

    def widened(self, width: int) -> Graphs:
        """With as many slots, at least as many as there are."""
        n, pad = width - self.width, torch.nn.functional.pad
        return replace(self, atoms=pad(self.atoms, (0, n)), bonds=pad(self.bonds, (0, n, 0, n)))

    def permuted(self, order: Tensor) -> Graphs:
        """The same graphs with their nodes renumbered: node k of graph b is what was node `order[b, k]`.

        `order` is (B, N) int64. Its row b has the numbers below `counts[b]` in the first `counts[b]` places.

        Raises:
            ValueError: it does not.
        """
        numbers = torch.arange(self.width, device=order.device).expand(self.atoms.shape)
        each_once = torch.equal(order.sort(1).values, numbers)
        if not each_once or not torch.equal(order < self.counts[:, None], self.atom_mask):
            raise ValueError("the order does not have each graph's nodes in its first places, each once")
        rows = torch.arange(len(self), device=order.device)[:, None, None]
        return replace(
            self, atoms=self.atoms.gather(1, order), bonds=self.bonds[rows, order[:, :, None], order[:, None, :]]
        )


def concatenate(parts: Sequence[Graphs]) -> Graphs:
    """All graphs of `parts` in order, padded to the widest of them."""
    width = max(part.width for part in parts)
    wide = [part.widened(width) for part in parts]
    return Graphs(
        torch.cat([part.atoms for part in wide]),
        torch.cat([part.bonds for part in wide]),
        torch.cat([part.counts for part in wide]),
        concatenated_properties([part.properties for part in parts if len(part)]),
    )


def concatenated_properties(tables: Sequence[Tensor | None]) -> Tensor | None:
    """The tables of properties of several sets of graphs as one; None if no set has one.

    Raises:
        ValueError: some sets have a table and others have none, or they have different numbers of columns.
    """
    given = [table for table in tables if table is not None]
    if (given and len(given) != len(tables)) or len({table.shape[1] for table in given}) > 1:
        raise ValueError("graphs with different properties cannot be put together")
    return torch.cat(given) if given else None
