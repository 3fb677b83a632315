from __future__ import annotations

import math

import pytest
import torch

from fedmol.diffusion import Census, NoiseModel, add_noise, stratified_times
from fedmol.diffusion.forward import draw, draw_prior
from fedmol.diffusion.noise_model import cosine_alphas_bar
from fedmol.graphs import Graphs
from tests.support.transitions import noised, transition_matrix

MARGINAL = torch.tensor([0.72, 0.12, 0.15, 0.01], dtype=torch.float64)


def some_graphs() -> Graphs:
    """C-C=O, C, and N#N-C-C in codes."""
    atoms = torch.tensor([[0, 0, 2, 0], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.int8)
    bonds = torch.zeros(3, 4, 4, dtype=torch.int8)
    for molecule, i, j, bond in [(0, 0, 1, 1), (0, 1, 2, 2), (2, 0, 1, 3), (2, 1, 2, 1), (2, 2, 3, 1)]:
        bonds[molecule, i, j] = bonds[molecule, j, i] = bond
    return Graphs(atoms, bonds, torch.tensor([3, 1, 4]))


@pytest.mark.parametrize(("t", "value"), [(0, 0.99991), (100, 0.8972), (250, 0.49229), (400, 0.09368), (490, 9.673e-4)])
def test_schedule_is_the_references(t: int, value: float) -> None:
    assert cosine_alphas_bar(500)[t].item() == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("t", "beta"),
    [(0, 8.723e-5), (1, 1.066e-4), (100, 2.094e-3), (250, 6.279e-3), (400, 1.906e-2), (499, 0.75), (500, 0.9999)],
)
def test_single_steps_are_the_references_with_the_last_one_capped(t: int, beta: float) -> None:
    kept = torch.cat([torch.ones(1, dtype=torch.float64), cosine_alphas_bar(500)])
    assert 1 - (kept[t + 1] / kept[t]).item() == pytest.approx(beta, rel=6e-4)


def test_schedule_is_a_squared_cosine_up_to_its_last_step() -> None:
    def squared(u: float) -> float:
        return math.cos(math.pi / 2 * (u + 0.008) / 1.008) ** 2

    expected = [squared((t + 1) / 501) / squared(0) for t in range(500)]
    assert cosine_alphas_bar(500)[:-1].tolist() == pytest.approx(expected, rel=1e-9)


def test_schedule_falls_and_ends_near_zero() -> None:
    kept = cosine_alphas_bar(500)
    assert kept.shape == (501,)
    assert (kept.diff() < 0).all()
    assert kept[-1].item() == pytest.approx(9.68e-10, rel=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_transition_rows_sum_to_one(alpha: float) -> None:
    matrix = transition_matrix(torch.tensor(alpha, dtype=torch.float64), MARGINAL)
    torch.testing.assert_close(matrix.sum(-1), torch.ones(4, dtype=torch.float64))
    assert (matrix >= 0).all()


def test_cumulative_transition_is_the_product_of_the_single_ones() -> None:
    kept = cosine_alphas_bar(50)
    product = transition_matrix(kept[0], MARGINAL)
    for t in range(1, 51):
        product = product @ transition_matrix(kept[t] / kept[t - 1], MARGINAL)
        torch.testing.assert_close(product, transition_matrix(kept[t], MARGINAL))


def test_noised_is_a_product_with_the_matrix() -> None:
    distribution = torch.tensor([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    alpha = torch.tensor([0.3, 0.9], dtype=torch.float64)
    expected = (distribution[:, None] @ transition_matrix(alpha, MARGINAL))[:, 0]
    torch.testing.assert_close(noised(distribution, alpha, MARGINAL), expected)


def test_noise_keeps_graphs_well_formed() -> None:
    graphs = some_graphs()
    noise = NoiseModel.from_census(Census.take(graphs, 4, 5, 9))
    noisy = add_noise(graphs, torch.tensor([0, 250, 500]), noise, torch.Generator().manual_seed(0))
    assert (noisy.bonds == noisy.bonds.transpose(1, 2)).all()
    assert (noisy.bonds[~graphs.pair_mask] == 0).all()
    assert (noisy.atoms[~graphs.atom_mask] == 0).all()


@pytest.mark.parametrize("time", [100, 400])  # where an entry is kept in 90 and in 9 of 100 cases
def test_noise_has_the_right_frequencies(time: int) -> None:
    one = some_graphs()[2:3]
    many = Graphs(one.atoms.expand(20000, -1), one.bonds.expand(20000, -1, -1), one.counts.expand(20000))
    noise = NoiseModel.from_census(Census.take(some_graphs(), 4, 5, 9))
    noisy = add_noise(many, torch.full((20000,), time), noise, torch.Generator().manual_seed(1))
    for clean, drawn, marginal in [
        (1, noisy.atoms[:, 0], noise.atom_marginal),
        (3, noisy.bonds[:, 0, 1], noise.bond_marginal),
    ]:
        expected = transition_matrix(noise.alphas_bar[time], marginal)[clean]
        found = torch.bincount(drawn, minlength=len(marginal)) / 20000
        torch.testing.assert_close(found.double(), expected, atol=0.015, rtol=0)


def test_prior_is_the_marginals() -> None:
    noise = NoiseModel.from_census(Census.take(some_graphs(), 4, 5, 9))
    pure = draw_prior(torch.full((5000,), 4), 4, noise, torch.Generator().manual_seed(0))
    found = torch.bincount(pure.bonds[pure.pair_mask], minlength=5) / (5000 * 12)
    torch.testing.assert_close(found.double(), noise.bond_marginal, atol=0.01, rtol=0)
    assert (pure.bonds == pure.bonds.transpose(1, 2)).all()


def test_draw_never_takes_an_impossible_class() -> None:
    rows = torch.tensor([[0.0, 2.0, 0.0, 3.0], [0.0, 0.0, 0.0, 1.0], [5.0, 0.0, 0.0, 0.0]]).expand(4000, 3, 4)
    drawn = draw(rows, torch.Generator().manual_seed(0))
    assert set(drawn[:, 0].tolist()) == {1, 3}
    assert set(drawn[:, 1].tolist()) == {3}
    assert set(drawn[:, 2].tolist()) == {0}
    assert (drawn[:, 0] == 3).float().mean().item() == pytest.approx(0.6, abs=0.03)


def test_stratified_times_cover_the_range_evenly() -> None:
    times = stratified_times(1000, 1, 500, torch.Generator().manual_seed(3), torch.device("cpu"))
    assert (torch.bincount(times, minlength=501)[1:] == 2).all()


def test_census_counts_ordered_pairs_and_adds_up() -> None:
    graphs = some_graphs()
    census = Census.take(graphs, 4, 5, 9)
    assert census.atoms.tolist() == [5, 2, 1, 0]
    assert census.bonds.tolist() == [6 + 12 - 10, 6, 2, 2, 0]
    assert census.sizes.tolist() == [0, 1, 0, 1, 1, 0, 0, 0, 0, 0]
    parts = Census.take(graphs[:1], 4, 5, 9) + Census.take(graphs[1:], 4, 5, 9)
    assert parts.to_json() == census.to_json() == Census.from_json(census.to_json()).to_json()
    assert census.molecules == 3


@pytest.mark.parametrize("least", [0, 1, 7])
def test_raised_counts_show_no_rare_class_and_leave_none_impossible(least: int) -> None:
    census = Census.take(some_graphs(), 4, 5, 9)
    sent = census.raised(least)
    for name in ("atoms", "bonds", "sizes"):
        counts, shown = getattr(census, name).tolist(), getattr(sent, name).tolist()
        first = 1 if name == "sizes" else 0  # there are no molecules without atoms
        assert shown[:first] == counts[:first]
        assert shown[first:] == [max(count, least) for count in counts[first:]]
    assert sent.sizes[0] == 0
    noise = NoiseModel.from_census(sent)
    assert noise.size_distribution[0] == 0
    if least:
        assert (noise.atom_marginal > 0).all()
        assert (noise.bond_marginal > 0).all()
        assert (noise.size_distribution[1:] > 0).all()
    assert census.raised(0).to_json() == census.to_json()
