"""Conditions: what is known, what is dropped, and that both kinds of not knowing are one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from fedmol.diffusion import Conditions
from fedmol.diffusion.conditions import standardised
from fedmol.properties import Property

NAN = math.nan
TABLE = torch.tensor([[0.5, NAN, -2.0], [NAN, NAN, NAN], [1.0, 2.0, 3.0]])


def equal(one: Conditions, other: Conditions) -> bool:
    return torch.equal(one.values, other.values) and torch.equal(one.known, other.known)


def test_what_is_not_a_number_is_unknown() -> None:
    conditions = Conditions.of(TABLE)
    assert conditions.known.tolist() == [[True, False, True], [False] * 3, [True] * 3]
    assert conditions.values.tolist() == [[0.5, 0.0, -2.0], [0.0] * 3, [1.0, 2.0, 3.0]]
    assert equal(conditions[1:2], Conditions.unknown(1, 3, "cpu"))
    assert len(conditions) == 3


def test_what_is_dropped_is_what_was_never_known() -> None:
    full = Conditions.of(TABLE.nan_to_num(7.0))
    assert equal(full.restricted(~TABLE.isnan()), Conditions.of(TABLE))
    never = TABLE.clone()
    never[:, [0, 2]] = NAN
    assert equal(Conditions.of(TABLE).without([0, 2]), Conditions.of(never))
    assert equal(Conditions.of(TABLE).without([]), Conditions.of(TABLE))


def test_each_choice_of_conditions_is_told_with_its_probability() -> None:
    p, rows = 0.3, 40_000
    full = Conditions.of(torch.ones(rows, 2))
    known = full.dropped(p, Generator().manual_seed(0)).known
    shares = torch.bincount(2 * known[:, 0] + known[:, 1], minlength=4) / rows
    both = (1 - p) ** 3
    one = p * (1 - p) ** 2
    expected = torch.tensor([1 - both - 2 * one, one, one, both])
    torch.testing.assert_close(shares, expected, atol=0.012, rtol=0)


@pytest.mark.parametrize(("probability", "share"), [(0.0, 1.0), (1.0, 0.0)])
def test_nothing_or_everything_is_dropped(probability: float, share: float) -> None:
    known = Conditions.of(torch.ones(50, 3)).dropped(probability, Generator().manual_seed(0)).known
    assert known.float().mean() == share


def test_dropping_repeats_with_its_seed_and_makes_nothing_known() -> None:
    conditions = Conditions.of(TABLE.repeat(20, 1))
    first, second = (conditions.dropped(0.5, Generator().manual_seed(4)) for _ in range(2))
    assert equal(first, second)
    assert not (first.known & ~conditions.known).any()
    assert (first.values[~first.known] == 0).all()


def test_measured_values_are_standardised_column_by_column() -> None:
    properties = Property("homo", "eV", -6.5, 0.5), Property("qed", ""), Property("weight", "Da", 120, 10)
    table: Tensor = torch.tensor([[-6.0, 0.25, 130.0], [NAN, 0.5, NAN]])
    found = standardised(table, properties)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.25, 1.0], [NAN, 0.5, NAN]]), equal_nan=True)
    assert properties[0].standardised(-6.0) == 1.0


@pytest.mark.parametrize(
    ("name", "unit", "mean", "scale"),
    [
        ("", "", 0.0, 1.0),
        ("LogP", "", 0.0, 1.0),
        ("log p", "", 0.0, 1.0),
        ("x" * 33, "", 0.0, 1.0),
        ("gap", "e" * 17, 0.0, 1.0),
        ("gap", "e\nV", 0.0, 1.0),
        ("gap", "eV", NAN, 1.0),
        ("gap", "eV", math.inf, 1.0),
        ("gap", "eV", 1e13, 1.0),
        ("gap", "eV", 0.0, 0.0),
        ("gap", "eV", 0.0, -1.0),
        ("gap", "eV", 0.0, NAN),
        ("gap", "eV", 0.0, 1e-13),
    ],
)
def test_a_property_is_bounded(name: str, unit: str, mean: float, scale: float) -> None:
    with pytest.raises(ValueError, match=r"name|unit|mean|scale"):
        Property(name, unit, mean, scale)
