"""Half-edges and properties stay what they are, however graphs are stored, cut, joined and renumbered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedmol.chem.graphs_to_molecules import read_graphs
from fedmol.chem.vocabulary import get
from fedmol.diffusion import Census, Conditions, Logits, NoiseModel, nll
from fedmol.graphs import Graphs, concatenate
from fedmol.ragged import EMPTY, RaggedGraphs, check_symmetric, concatenated, ragged
from fedmol.training.batches import batches_of
from tests.support.random_graphs import HALF_EDGE_TYPES, MOST_NODES, NODE_TYPES, half_edged, same, some_order, symmetric

sizes = st.lists(st.integers(1, MOST_NODES), min_size=1, max_size=12)
seeds = st.integers(0, 2**31)
columns = st.sampled_from([None, 0, 1, 3])
GRAPHS = half_edged([5, 2, 9, 1, 7, 3], columns=2)


@settings(max_examples=60, deadline=None)
@given(counts=sizes, seed=seeds, columns=columns)
def test_storing_keeps_both_half_edges_and_all_properties(counts: list[int], seed: int, columns: int | None) -> None:
    graphs = half_edged(counts, seed, columns)
    stored = ragged(graphs)
    assert stored.within(NODE_TYPES, HALF_EDGE_TYPES, MOST_NODES)
    assert same(stored.dense(), graphs)
    assert same(ragged(graphs.widened(MOST_NODES + 3)), stored)
    rows = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed))[: len(graphs) // 2 + 1]
    assert same(stored[rows], graphs[rows].trimmed())
    assert same(stored.select(rows), ragged(graphs[rows]))
    assert same(concatenated([stored.select(slice(2)), EMPTY, stored.select(slice(2, None))]), stored)
    assert same(concatenate([graphs[:2].trimmed(), graphs[2:].trimmed()]).trimmed(), graphs)


@settings(max_examples=60, deadline=None)
@given(counts=sizes, seed=seeds)
def test_renumbering_commutes_with_storing_and_can_be_undone(counts: list[int], seed: int) -> None:
    graphs = half_edged(counts, seed, columns=2)
    order = some_order(graphs, seed)
    turned = graphs.permuted(order)
    assert same(ragged(turned).dense(), turned)
    assert same(turned.permuted(order.argsort(1)), graphs)
    assert same(turned.trimmed(), graphs.trimmed().permuted(order[:, : graphs.trimmed().width]))
    b = seed % len(graphs)
    for i in range(counts[b]):
        assert turned.atoms[b, i] == graphs.atoms[b, order[b, i]]
        for j in range(counts[b]):
            assert turned.bonds[b, i, j] == graphs.bonds[b, order[b, i], order[b, j]]


@pytest.mark.parametrize(
    "order",
    [
        torch.tensor([[1, 0, 2], [2, 1, 0]]),  # takes an empty slot for a node
        torch.tensor([[1, 1, 2], [1, 0, 2]]),  # one node twice
        torch.tensor([[1, 0, 3], [1, 0, 2]]),
        torch.tensor([[1, 0, 2]]),
        torch.tensor([[1, 0], [1, 0]]),
    ],
)
def test_an_order_that_is_none_is_refused(order: Tensor) -> None:
    with pytest.raises(ValueError, match="order"):
        half_edged([3, 2]).permuted(order)


def test_properties_are_each_graph_s_own() -> None:
    table = GRAPHS.properties
    assert table is not None
    rows = torch.tensor([4, 0, 4])
    for part in (GRAPHS[rows], ragged(GRAPHS)[rows], ragged(GRAPHS).select(rows), GRAPHS[rows].trimmed().widened(12)):
        assert part.properties is not None
        assert np.array_equal(part.properties, table[rows], equal_nan=True)
    block = list(ragged(GRAPHS).blocks(4))[1]
    assert block.properties is not None
    assert np.array_equal(block.properties, table[4:], equal_nan=True)
    assert same(GRAPHS.to("cpu"), GRAPHS)
    assert half_edged([3]).properties is None
    assert "properties" not in ragged(half_edged([3])).arrays


@pytest.mark.parametrize("other", [half_edged([3]), half_edged([3], columns=1)])
def test_graphs_with_other_properties_are_not_joined(other: Graphs) -> None:
    with pytest.raises(ValueError, match="different properties"):
        concatenate([GRAPHS, other])
    with pytest.raises(ValueError, match="different properties"):
        concatenated([ragged(GRAPHS), ragged(other)])


@pytest.mark.parametrize(
    "properties",
    [
        torch.zeros(len(GRAPHS), 2, dtype=torch.float64),
        torch.zeros(len(GRAPHS) - 1, 2),
        torch.zeros(len(GRAPHS)),
        torch.full((len(GRAPHS), 2), torch.inf),
    ],
)
def test_a_table_that_does_not_fit_is_not_taken_from_a_file(properties: Tensor) -> None:
    stored = ragged(GRAPHS)
    assert stored.within(NODE_TYPES, HALF_EDGE_TYPES, MOST_NODES)
    assert not replace(stored, properties=properties).within(NODE_TYPES, HALF_EDGE_TYPES, MOST_NODES)


@pytest.mark.parametrize("place", [(0, 0, 1), (0, 1, 0)])
def test_a_bond_that_only_one_end_shows_is_refused(place: tuple[int, int, int]) -> None:
    graphs = half_edged([2, 3])
    graphs.bonds[0] = 0
    graphs.bonds[place] = 1
    with pytest.raises(ValueError, match="shows"):
        ragged(graphs)
    stored = ragged(half_edged([9]))
    assert not replace(stored, bonds=stored.bonds * torch.tensor([1, 0], dtype=torch.int8)).within(300, 6, 9)


@pytest.mark.parametrize("place", [(0, 0, 0), (0, 1, 2)])
def test_a_bond_that_leads_nowhere_is_refused(place: tuple[int, int, int]) -> None:
    graphs = half_edged([2, 3])
    graphs.bonds[place] = graphs.bonds[place[0], place[2], place[1]] = 1
    with pytest.raises(ValueError, match="different ends in its graph"):
        ragged(graphs)


def test_what_knows_symmetric_bonds_only_refuses_others() -> None:
    graphs, kin = half_edged([9, 4, 6], node_types=4), symmetric([9, 4, 6], node_types=4)
    noise = NoiseModel.from_census(Census.take(kin, 4, HALF_EDGE_TYPES, MOST_NODES))

    def unasked(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        raise AssertionError("the denoiser was asked")

    for uneven in (graphs, ragged(graphs)):
        assert not uneven.symmetric
        for refused in (check_symmetric, lambda given: batches_of(given, noise, 2)):
            with pytest.raises(ValueError, match="from its two ends"):
                refused(uneven)
    with pytest.raises(ValueError, match="from its two ends"):
        nll(unasked, noise, graphs, torch.Generator())
    with pytest.raises(ValueError, match="from its two ends"):
        read_graphs(graphs, get("qm9"))
    for even in (kin, ragged(kin)):
        assert even.symmetric
        check_symmetric(even)
        batches_of(even, noise, 2)
    assert EMPTY.symmetric
    assert isinstance(ragged(kin), RaggedGraphs)
