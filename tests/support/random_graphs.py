"""Random graphs with unequal half-edges, their symmetric kin, orders of their nodes, and how two sets are compared."""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import Generator, Tensor

from fedmol.graphs import HALF_EDGE_CODE, NODE_CODE, Graphs
from fedmol.ragged import RaggedGraphs

NODE_TYPES, HALF_EDGE_TYPES, MOST_NODES = 300, 6, 9  # codes beyond a byte, so that one is noticed


def half_edged(counts: list[int], seed: int = 0, columns: int | None = None, node_types: int = NODE_TYPES) -> Graphs:
    """Graphs of so many nodes, in which about every third pair has a bond that looks different from its ends."""
    numbers, rows, width = Generator().manual_seed(seed), len(counts), max(counts, default=0)
    atoms = torch.randint(node_types, (rows, width), generator=numbers)
    there = (torch.rand(rows, width, width, generator=numbers) < 0.35).triu(1)
    codes = torch.randint(1, HALF_EDGE_TYPES, (rows, width, width), generator=numbers)
    properties = None
    if columns is not None:
        properties = torch.randn(rows, columns, generator=numbers)
        properties[torch.rand(rows, columns, generator=numbers) < 0.3] = torch.nan
    empty = Graphs(atoms.to(NODE_CODE), (codes * (there | there.mT)).to(HALF_EDGE_CODE), torch.tensor(counts).long())
    return replace(
        empty, atoms=empty.atoms * empty.atom_mask, bonds=empty.bonds * empty.pair_mask, properties=properties
    )


def symmetric(counts: list[int], seed: int = 0, columns: int | None = None, node_types: int = NODE_TYPES) -> Graphs:
    """The same with the half-edge of the lower node for both."""
    graphs = half_edged(counts, seed, columns, node_types)
    upper = graphs.bonds.triu(1)
    return replace(graphs, bonds=upper + upper.mT)


def some_order(graphs: Graphs, seed: int = 0) -> Tensor:
    """Another order of the nodes of each graph, (B, N)."""
    height = torch.rand(graphs.atoms.shape, generator=Generator().manual_seed(seed))
    ordered = height.masked_fill(~graphs.atom_mask, 2.0).argsort(dim=1, stable=True)
    assert torch.equal(ordered < graphs.counts[:, None], graphs.atom_mask)
    return ordered


def reordered(nodes: Tensor, order: Tensor) -> Tensor:
    """What stands at each node, (B, N, ...), in another order."""
    return nodes[torch.arange(len(order))[:, None], order]


def reordered_pairs(pairs: Tensor, order: Tensor) -> Tensor:
    """What stands at each pair of nodes, (B, N, N, ...), in another order."""
    return pairs[torch.arange(len(order))[:, None, None], order[:, :, None], order[:, None, :]]


def same(one: Graphs | RaggedGraphs, other: Graphs | RaggedGraphs) -> bool:
    """True if both have the same arrays, of the same types; NaN is equal to NaN."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(other)]
    return all(
        (left is None) == (right is None)
        and (left is None or (left.dtype == right.dtype and left.shape == right.shape))
        and (left is None or torch.equal(left.nan_to_num(9e9), right.nan_to_num(9e9)))
        for left, right in pairs
    )
