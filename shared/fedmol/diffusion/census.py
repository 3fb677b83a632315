"""Counts of atoms, bonds and sizes: all that a site says about its molecules so that the noise can be agreed upon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedmol.graphs import Graphs
from fedmol.ragged import AnyGraphs, ragged


@dataclass(frozen=True)
class Census:
    """Histograms over a set of graphs; sites' censuses add up to the federation's.

    Bonds are counted over ordered pairs of different atoms, each with the half-edge that its first shows towards its
    second, "no bond" included, as the reference counts them.
    """

    atoms: Tensor  # (a,) int64
    bonds: Tensor  # (b,) int64
    sizes: Tensor  # (N + 1,) int64, index = number of atoms

    @staticmethod
    def take(graphs: AnyGraphs, atom_types: int, bond_types: int, max_atoms: int) -> Census:
        """The census of `graphs`, for a vocabulary of `atom_types` x `bond_types` and at most `max_atoms` atoms."""
        if isinstance(graphs, Graphs):
            graphs = ragged(graphs)
        bonds = torch.bincount(graphs.bonds.flatten(), minlength=bond_types)
        bonds[0] = (graphs.counts * (graphs.counts - 1)).sum() - bonds.sum()
        return Census(
            torch.bincount(graphs.atoms, minlength=atom_types),
            bonds,
            torch.bincount(graphs.counts, minlength=max_atoms + 1),
        )

    def __add__(self, other: Census) -> Census:
        return Census(self.atoms + other.atoms, self.bonds + other.bonds, self.sizes + other.sizes)

    def raised(self, least: int) -> Census:
        """The census with every count below `least` raised to it, zeros too, but for that of molecules without atoms.

        Who sees it can tell neither how often a rare class occurs, nor that it does, nor that another does not. None
        becomes impossible, as it would if rare ones were left out. In return the noise gives classes that do not occur
        a share, of about `least` / molecules each, and the model learns to undo it.
        """
        sizes = self.sizes.clamp_min(least)
        sizes[0] = self.sizes[0]
        return Census(self.atoms.clamp_min(least), self.bonds.clamp_min(least), sizes)

    @property
    def molecules(self) -> int:
        return int(self.sizes.sum())

    def to_json(self) -> dict[str, list[int]]:
        """Plain lists, ready for `json.dumps`."""
        return {"atoms": self.atoms.tolist(), "bonds": self.bonds.tolist(), "sizes": self.sizes.tolist()}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Census:
        return Census(*(torch.tensor(document[key], dtype=torch.int64) for key in ("atoms", "bonds", "sizes")))
