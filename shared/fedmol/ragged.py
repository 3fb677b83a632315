"""Graphs one after the other, without padding: the form in which a whole data set lies in memory and on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fedmol.graphs import HALF_EDGE_CODE, NODE_CODE, Graphs, concatenate, concatenated_properties

_BLOCK = 1 << 16  # graphs that are chosen at a time: the indices of their atoms and bonds take more room than they do


@dataclass(frozen=True)
class RaggedGraphs:
    """`B` graphs in integer codes. Indexing makes the chosen ones dense: `graphs[rows]` is a `Graphs`.

    The atoms of graph `b` are `counts[b]` entries of `atoms`, its bonds `bond_counts[b]` rows of `ends` and `bonds`, in
    both after those of graphs 0 to b - 1. Each bond is there once, the atom with the lower index first, with its two
    half-edges: what the first shows towards the second, and what the second shows towards the first.
    """

    counts: Tensor  # (B,) int64
    atoms: Tensor  # (sum of counts,) int16
    bond_counts: Tensor  # (B,) int64
    ends: Tensor  # (sum of bond counts, 2) int16
    bonds: Tensor  # (sum of bond counts, 2) int8
    properties: Tensor | None = None  # (B, K) float32, NaN where unknown; see `Graphs`

    def __len__(self) -> int:
        return self.counts.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> Graphs:
        """The graphs of `rows`, as wide as the largest of them."""
        rows = self._indices(rows)
        counts = self.counts[rows]
        width = int(counts.max()) if len(counts) else 0
        atoms = torch.zeros(len(rows), width, dtype=NODE_CODE)
        bonds = torch.zeros(len(rows), width, width, dtype=HALF_EDGE_CODE)
        entries, graph, place = _entries(self._first_atom, self.counts, rows)
        atoms[graph, place] = self.atoms[entries]
        entries, graph, _ = _entries(self._first_bond, self.bond_counts, rows)
        i, j = self.ends[entries].long().unbind(1)
        bonds[graph, i, j], bonds[graph, j, i] = self.bonds[entries].unbind(1)
        return Graphs(atoms, bonds, counts, self._properties_of(rows))

    def select(self, rows: Tensor | slice) -> RaggedGraphs:
        """The graphs of `rows`, indices, a mask or a slice, still one after the other; those of a slice are views."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            return self._between(*rows.indices(len(self))[:2])
        return self._chosen(self._indices(rows))

    @cached_property
    def width(self) -> int:
        """Atoms of the largest graph."""
        return int(self.counts.max()) if len(self) else 0

    @cached_property
    def _first_atom(self) -> Tensor:
        return self.counts.cumsum(0) - self.counts  # (B,)

    @cached_property
    def _first_bond(self) -> Tensor:
        return self.bond_counts.cumsum(0) - self.bond_counts  # (B,)

    @cached_property
    def symmetric(self) -> bool:
        """True if the two half-edges of every bond are equal."""
        first, second = self.bonds.unbind(1)
        return torch.equal(first, second)

    @property
    def arrays(self) -> dict[str, Tensor]:
        """What the graphs consist of, by name; without `properties` where there are none."""
        named = {name: getattr(self, name) for name in _TYPES}
        return named if self.properties is None else {**named, "properties": self.properties}

    @property
    def nbytes(self) -> int:
        return sum(int(array.nbytes) for array in self.arrays.values())

    def blocks(self, size: int) -> Iterator[Graphs]:
        """All graphs in order, `size` at a time, each block as wide as the largest graph of all."""
        for start in range(0, len(self), size):
            yield self[start : start + size].widened(self.width)

    def dense(self) -> Graphs:
        """All graphs, as wide as the largest of them."""
        parts = [self[start : start + _BLOCK] for start in range(0, len(self), _BLOCK)]
        return concatenate(parts) if parts else self[:]

    def to(self, device: torch.device | str) -> RaggedGraphs | Graphs:
        """Here for the processor; dense on another device, where batches are made without waiting for this one."""
        return self if torch.device(device).type == "cpu" else self.dense().to(device)

    def fits(self) -> bool:
        """True if the arrays are as long as their counts say."""
        atoms, bonds = int(self.counts.sum()), int(self.bond_counts.sum())
        found = len(self.atoms), len(self.bond_counts), len(self.ends), len(self.bonds)
        return found == (atoms, len(self), bonds, bonds)

    def within(self, atom_types: int, bond_types: int, most_atoms: int) -> bool:
        """True if the arrays are what they are said to be here, and their codes are of a vocabulary of these sizes.

        Nothing is taken for granted, so that graphs of a file can be asked; little more memory is used.
        """
        if not all(getattr(self, name).dtype is kind for name, kind in _TYPES.items()):
            return False
        shapes = [getattr(self, name).shape[1:] for name in _TYPES if getattr(self, name).dim()]
        return (
            shapes == [(), (), (), (2,), (2,)]
            and self._properties_are_sound()
            and _between(self.counts, 1, most_atoms)
            and _between(self.bond_counts, 0, most_atoms * (most_atoms - 1) // 2)
            and _between(self.atoms, 0, atom_types - 1)
            and _between(self.bonds, 1, bond_types - 1)
            and self.fits()
            and all(self.select(slice(k, k + _BLOCK))._bonds_join(most_atoms) for k in range(0, len(self), _BLOCK))
        )

    def _properties_are_sound(self) -> bool:
        table = self.properties
        if table is None:
            return True
        typed = table.dtype is torch.float32 and table.dim() == 2 and len(table) == len(self)
        return typed and not any(bool(rows.isinf().any()) for rows in torch.split(table, _BLOCK))

    def _bonds_join(self, most_atoms: int) -> bool:
        """True if each bond joins two atoms of its graph, the lower first, and bonds are in order, none twice."""
        graph = torch.repeat_interleave(torch.arange(len(self)), self.bond_counts)
        i, j = self.ends.long().unbind(1)
        order = (graph * most_atoms + i) * most_atoms + j
        return bool(((i >= 0) & (i < j) & (j < self.counts[graph])).all() and (order.diff() > 0).all())

    def _between(self, start: int, stop: int) -> RaggedGraphs:
        """The graphs from `start` to before `stop`, as views."""
        stop = max(start, stop)
        counts, bond_counts = self.counts[start:stop], self.bond_counts[start:stop]
        atom, bond = int(self.counts[:start].sum()), int(self.bond_counts[:start].sum())
        atoms, bonds = slice(atom, atom + int(counts.sum())), slice(bond, bond + int(bond_counts.sum()))
        properties = self._properties_of(slice(start, stop))
        return RaggedGraphs(counts, self.atoms[atoms], bond_counts, self.ends[bonds], self.bonds[bonds], properties)

    def _properties_of(self, rows: Tensor | slice) -> Tensor | None:
        return None if self.properties is None else self.properties[rows]

    def _indices(self, rows: Tensor | slice) -> Tensor:
        if isinstance(rows, slice):
            return torch.arange(len(self))[rows]
        return rows.nonzero().squeeze(1) if rows.dtype is torch.bool else rows

    def _chosen(self, rows: Tensor) -> RaggedGraphs:
        counts, bond_counts = self.counts[rows], self.bond_counts[rows]
        atoms, bonds = int(counts.sum()), int(bond_counts.sum())
        made = RaggedGraphs(
            counts,
            self.atoms.new_empty(atoms),
            bond_counts,
            self.ends.new_empty(bonds, 2),
            self.bonds.new_empty(bonds, 2),
            self._properties_of(rows),
        )
        atom = bond = 0
        for part in torch.split(rows, _BLOCK):
            entries, _, _ = _entries(self._first_atom, self.counts, part)
            made.atoms[atom : atom + len(entries)] = self.atoms[entries]
            atom += len(entries)
            entries, _, _ = _entries(self._first_bond, self.bond_counts, part)
            made.ends[bond : bond + len(entries)] = self.ends[entries]
            made.bonds[bond : bond + len(entries)] = self.bonds[entries]
            bond += len(entries)
        return made


AnyGraphs = Graphs | RaggedGraphs  # of which `graphs[rows]`, `graphs.counts` and `len(graphs)` are the same


def check_symmetric(graphs: AnyGraphs) -> None:
    """Raises ValueError if the two half-edges of some pair differ: here the reach of today's diffusion is stated.

    Storing, indexing, counting (`Census`), the noise and the training loss take any half-edges. But the noise draws one
    class for both ends of a pair, from the marginal of single classes; denoisers look at each pair once; likelihood,
    samplers and molecules have one class per pair. For unequal half-edges all of these need the classes of pairs of
    half-edges, which nobody counts yet. So training, the likelihood and the reading of molecules look first, and none
    of them takes one half-edge for both.
    """
    if not graphs.symmetric:
        raise ValueError("a bond looks different from its two ends, and diffusion knows bonds with one class only")


def _between(values: Tensor, low: int, high: int) -> bool:
    return not len(values) or bool(values.min() >= low and values.max() <= high)


def _entries(first: Tensor, lengths: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the entries of `rows` stand: their indices, which of `rows` each belongs to, and its place there."""
    chosen = lengths[rows]
    graph = torch.repeat_interleave(torch.arange(len(rows)), chosen)
    place = torch.arange(len(graph)) - torch.repeat_interleave(chosen.cumsum(0) - chosen, chosen)
    return first[rows][graph] + place, graph, place


def ragged(graphs: Graphs) -> RaggedGraphs:
    """Dense graphs without their padding.

    Raises:
        ValueError: a bond does not join two different nodes of its graph, or only one of them shows it.
    """
    there = graphs.bonds != 0
    if not (there == there.mT).all() or (there & ~graphs.pair_mask).any():
        raise ValueError("a bond needs two different ends in its graph, each of which shows something to the other")
    graph, i, j = torch.triu(there, 1).nonzero(as_tuple=True)
    return RaggedGraphs(
        graphs.counts,
        graphs.atoms[graphs.atom_mask],
        torch.bincount(graph, minlength=len(graphs)),
        torch.stack([i, j], 1).to(torch.int16),
        torch.stack([graphs.bonds[graph, i, j], graphs.bonds[graph, j, i]], 1),
        graphs.properties,
    )


def concatenated(parts: Sequence[RaggedGraphs]) -> RaggedGraphs:
    """All graphs of `parts`, in order."""
    arrays = {name: torch.cat([getattr(part, name) for part in parts]) for name in _TYPES}
    properties = concatenated_properties([part.properties for part in parts if len(part)])
    return RaggedGraphs(**arrays, properties=properties)


_TYPES = {
    "counts": torch.int64,
    "atoms": NODE_CODE,
    "bond_counts": torch.int64,
    "ends": torch.int16,
    "bonds": HALF_EDGE_CODE,
}
_IN_PAIRS = "ends", "bonds"
EMPTY = RaggedGraphs(*(torch.zeros((0, 2) if name in _IN_PAIRS else 0, dtype=kind) for name, kind in _TYPES.items()))
