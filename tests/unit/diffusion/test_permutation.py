"""Renumbering the nodes of graphs commutes with what diffusion does to them, half-edge by half-edge where it can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from fedmol.diffusion import Census, Conditions, Logits, NoiseModel, add_noise, loss
from fedmol.diffusion.forward import mirrored
from fedmol.graphs import Graphs
from fedmol.models import build
from tests.support.random_graphs import (
    HALF_EDGE_TYPES,
    MOST_NODES,
    half_edged,
    reordered,
    reordered_pairs,
    same,
    some_order,
    symmetric,
)

TYPES = 4
Make = Callable[..., Graphs]
makers = st.sampled_from([half_edged, symmetric])
sizes = st.lists(st.integers(1, MOST_NODES), min_size=1, max_size=8)
seeds = st.integers(0, 2**31)


@settings(max_examples=40, deadline=None)
@given(make=makers, counts=sizes, seed=seeds)
def test_the_census_counts_half_edges_whatever_the_order(make: Make, counts: list[int], seed: int) -> None:
    graphs = make(counts, seed, node_types=TYPES)
    census = Census.take(graphs, TYPES, HALF_EDGE_TYPES, MOST_NODES)
    turned = graphs.permuted(some_order(graphs, seed))
    assert Census.take(turned, TYPES, HALF_EDGE_TYPES, MOST_NODES).to_json() == census.to_json()
    shown = graphs.bonds[graphs.pair_mask].long()
    assert torch.equal(census.bonds, torch.bincount(shown, minlength=HALF_EDGE_TYPES))


@pytest.mark.parametrize("make", [half_edged, symmetric])
@pytest.mark.parametrize("seed", range(4))
def test_noise_renumbers_with_the_graph_given_the_same_draws(
    make: Make, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = make([9, 4, 6, 1], seed, node_types=TYPES)
    noise = NoiseModel.from_census(Census.take(graphs, TYPES, HALF_EDGE_TYPES, MOST_NODES))
    order, times = some_order(graphs, seed), torch.tensor([60, 300, 420, 500])
    numbers = Generator().manual_seed(seed)
    rows, width = graphs.atoms.shape
    nodes = [torch.rand(rows, width, generator=numbers, dtype=torch.float64) for _ in range(2)]
    pairs = [mirrored(torch.rand(rows, width, width, generator=numbers, dtype=torch.float64)) for _ in range(2)]

    def noised(graphs: Graphs, draws: list[Tensor]) -> Graphs:
        left = iter(draws)

        def rand(*said: object, dtype: torch.dtype = torch.float32, **named: object) -> Tensor:
            return next(left).to(dtype)

        with monkeypatch.context() as patched:
            patched.setattr(torch, "rand", rand)
            noisy = add_noise(graphs, times, noise, numbers)
        assert next(left, None) is None
        return noisy

    before = noised(graphs, [*nodes, *pairs])
    turned_draws = [reordered(one, order) for one in nodes] + [reordered_pairs(one, order) for one in pairs]
    assert same(noised(graphs.permuted(order), turned_draws), before.permuted(order))
    assert not torch.equal(before.bonds, graphs.bonds.long())


def test_noise_keeps_both_half_edges_or_takes_one_class_for_both() -> None:
    graphs = half_edged([9] * 200, node_types=TYPES)
    noise = NoiseModel.from_census(Census.take(graphs, TYPES, HALF_EDGE_TYPES, MOST_NODES))
    noisy = add_noise(graphs, torch.full((200,), 250), noise, Generator().manual_seed(0))
    kept = noisy.bonds == graphs.bonds
    one_class = noisy.bonds == noisy.bonds.mT
    assert ((kept & kept.mT) | one_class).all()
    uneven = graphs.bonds != graphs.bonds.mT
    share = (kept & kept.mT)[uneven].float().mean()
    assert share.item() == pytest.approx(noise.alphas_bar[250].item(), abs=0.03)


@settings(max_examples=40, deadline=None)
@given(make=makers, counts=sizes, seed=seeds)
def test_the_loss_is_of_half_edges_whatever_the_order(make: Make, counts: list[int], seed: int) -> None:
    graphs = make(counts, seed, node_types=TYPES)
    order, numbers = some_order(graphs, seed), Generator().manual_seed(seed)
    atoms = torch.randn(*graphs.atoms.shape, TYPES, generator=numbers, dtype=torch.float64)
    bonds = torch.randn(*graphs.bonds.shape, HALF_EDGE_TYPES, generator=numbers, dtype=torch.float64)
    value = loss(Logits(atoms, bonds), graphs)
    turned = Logits(reordered(atoms, order), reordered_pairs(bonds, order))
    torch.testing.assert_close(loss(turned, graphs.permuted(order)), value)


def has_eigenvectors(graphs: Graphs, row: int) -> bool:
    """True where the Laplacian's are defined by the graph: elsewhere the reference's features depend on the order.

    No eigenvalue is double, and of the two vectors that are features the sign (see `spectral_features`) is certain.
    """
    n = int(graphs.counts[row])
    adjacency = (graphs.bonds[row, :n, :n] > 0).double()
    values, vectors = torch.linalg.eigh(torch.diag(adjacency.sum(-1)) - adjacency)
    return bool((values.diff() > 1e-2).all() and (vectors[:, 1:3].pow(3).sum(0).abs() > 1e-2).all())


@pytest.mark.parametrize("preset", ["small", "digress"])
@pytest.mark.parametrize("told", [None, "nothing", "some"])
def test_a_denoiser_renumbers_with_the_graph(preset: str, told: str | None) -> None:
    denoiser = build(preset, TYPES, HALF_EDGE_TYPES, MOST_NODES, seed=0, layers=2, properties=2 if told else 0).eval()
    denoiser.exact = True
    graphs = symmetric([9, 7, 6, 5, 4] * 8, node_types=TYPES, columns=2)
    graphs = graphs[torch.tensor([row for row in range(len(graphs)) if has_eigenvectors(graphs, row)])]
    assert len(set(graphs.counts.tolist())) > 2
    order, time = some_order(graphs, 1), torch.linspace(0, 1, len(graphs))
    assert graphs.properties is not None
    conditions = Conditions.of(graphs.properties) if told == "some" else None
    before = denoiser(graphs.atoms, graphs.bonds, graphs.counts, time, conditions)
    turned = graphs.permuted(order)
    after = denoiser(turned.atoms, turned.bonds, turned.counts, time, conditions)
    torch.testing.assert_close(after.atoms, reordered(before.atoms, order), atol=2e-4, rtol=0)
    torch.testing.assert_close(after.bonds, reordered_pairs(before.bonds, order), atol=2e-4, rtol=0)
