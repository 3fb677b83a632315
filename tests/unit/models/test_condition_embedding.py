"""A denoiser that can be told properties: what it is without them, and that they reach nodes and pairs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fedmol.diffusion import Conditions, Logits, loss
from fedmol.models import PRESETS, Denoiser, build
from fedmol.models.condition_embedding import ConditionEmbedding
from tests.support.random_graphs import symmetric

GRAPHS = symmetric([9, 7, 4, 2, 1], seed=1, node_types=4)
TIME = torch.linspace(0, 1, len(GRAPHS))
TABLE = torch.tensor([[0.5, -1.0], [math.nan, 2.0], [1.5, math.nan], [0.0, 0.0], [math.nan, math.nan]])


def conditional(preset: str, properties: int = 2) -> Denoiser:
    denoiser = build(preset, 4, 6, 9, seed=0, layers=2, properties=properties).eval()
    denoiser.exact = True
    return denoiser


def ask(denoiser: Denoiser, conditions: Conditions | None = None) -> Logits:
    logits: Logits = denoiser(GRAPHS.atoms, GRAPHS.bonds, GRAPHS.counts, TIME, conditions)
    return logits


@pytest.mark.parametrize("preset", PRESETS)
def test_a_denoiser_of_no_properties_has_no_more_parameters_than_ever(preset: str) -> None:
    plain, told = (build(preset, 4, 6, 9, seed=0, layers=1, properties=number).state_dict() for number in (0, 3))
    assert not [name for name in plain if "condition" in name or "pair_film" in name]
    assert plain.keys() < told.keys()
    assert all(plain[name].shape == told[name].shape for name in plain)


@pytest.mark.parametrize("preset", ["small", "digress"])
def test_with_null_tokens_only_it_is_a_function_of_the_graph_alone(preset: str) -> None:
    denoiser, expected = conditional(preset), ask(conditional(preset))
    for rubbish in (0.0, 1e30, math.nan, math.inf):
        values = torch.full((len(GRAPHS), 2), rubbish)
        found = ask(denoiser, Conditions(values, torch.zeros_like(values, dtype=torch.bool)))
        assert torch.equal(found.atoms, expected.atoms)
        assert torch.equal(found.bonds, expected.bonds)


@pytest.mark.parametrize("preset", ["small", "digress"])
def test_each_property_moves_nodes_and_pairs_of_its_own_graph_only(preset: str) -> None:
    denoiser, table = conditional(preset), TABLE.nan_to_num(0.3)
    before = ask(denoiser, Conditions.of(table))
    for change in (math.nan, 2.5):  # forgotten, or another value
        for column in (0, 1):
            other = table.clone()
            other[1, column] = change
            after = ask(denoiser, Conditions.of(other))
            for kind in ("atoms", "bonds"):
                moved = (getattr(after, kind) - getattr(before, kind)).abs().flatten(1).amax(1)
                assert moved[1] > 1e-3, (change, column, kind)
                assert moved[[0, 2, 3, 4]].max() < 1e-4


def test_in_the_fast_denoiser_pairs_are_told_without_the_nodes_help() -> None:
    denoiser = conditional("small")
    with torch.no_grad():
        for name, parameter in denoiser.named_parameters():
            if name.endswith(".film.weight"):
                parameter.zero_()
    before, after = (ask(denoiser, Conditions.of(table)) for table in (TABLE, TABLE + 1))
    moved = (after.bonds - before.bonds).abs().flatten(1).amax(1)
    assert (moved[:4] > 1e-3).all()


@pytest.mark.parametrize("preset", ["small", "digress"])
def test_a_graphs_logits_do_not_depend_on_its_batch(preset: str) -> None:
    denoiser, conditions = conditional(preset), Conditions.of(TABLE)
    together = ask(denoiser, conditions)
    for row, n in enumerate(GRAPHS.counts.tolist()):
        one = GRAPHS[row : row + 1].trimmed()
        alone = denoiser(one.atoms, one.bonds, one.counts, TIME[row : row + 1], conditions[row : row + 1])
        torch.testing.assert_close(alone.atoms[0], together.atoms[row, :n], atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.bonds[0], together.bonds[row, :n, :n], atol=1e-4, rtol=0)


@pytest.mark.parametrize("preset", ["small", "digress"])
def test_all_that_is_told_is_learned_from(preset: str) -> None:
    denoiser = conditional(preset)
    torch.autograd.backward(loss(ask(denoiser, Conditions.of(TABLE)), GRAPHS))
    new = [(name, p) for name, p in denoiser.named_parameters() if "condition" in name or "pair_film" in name]
    assert new
    for name, parameter in new:
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("built_for", "told"), [(0, 2), (2, 1), (1, 2)])
def test_conditions_on_other_properties_are_refused(built_for: int, told: int) -> None:
    denoiser = conditional("small", properties=built_for)
    with pytest.raises(ValueError, match=f"a model of {built_for} properties"):
        ask(denoiser, Conditions.unknown(len(GRAPHS), told, "cpu"))
    with pytest.raises(ValueError, match="for 5 graphs"):
        ask(denoiser, Conditions.unknown(3, built_for, "cpu"))


def test_a_known_zero_is_not_a_null_token() -> None:
    torch.manual_seed(0)
    embedding = ConditionEmbedding(2, 8, 4)
    known: Tensor = torch.tensor([[True, False], [False, False]])
    zero, null = embedding(Conditions(torch.zeros(2, 2), known))
    assert (zero - null).abs().max() > 1e-2
