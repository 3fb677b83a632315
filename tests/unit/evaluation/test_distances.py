from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.vocabulary import VOCABULARIES
from fedmol.evaluation.distances import Distance, distances, total_variation, wasserstein
from fedmol.graphs import Graphs

QM9 = VOCABULARIES["qm9-charged"]


def graphs(*smiles: str) -> Graphs:
    return encode(smiles, QM9).graphs


def measured(ours: Graphs, theirs: Graphs) -> dict[str, Distance]:
    return {one.name: one for one in distances(ours, theirs, QM9)}


def test_equal_sets_are_at_distance_zero() -> None:
    some = graphs("CCO", "C1CC1", "C#N", "c1ccccc1")
    for one in distances(some, some, QM9):
        assert one.total_variation == 0
        assert not one.wasserstein


def test_known_distances() -> None:
    found = measured(graphs("CC", "CCO"), graphs("CC", "CC"))
    assert found["size"].total_variation == pytest.approx(0.5)
    assert found["size"].wasserstein == pytest.approx(0.5)  # half the molecules are one atom larger
    assert found["atoms"].total_variation == pytest.approx(1 / 5)  # one oxygen in five atoms, none in four
    assert found["bonds"].total_variation == 0


def test_rings_are_counted_by_size_and_number() -> None:
    found = measured(graphs("C1CC1", "C1CC1"), graphs("C1CCC1", "C1CC2CC12"))
    assert found["ring sizes"].labels[0] == "3"
    assert found["ring sizes"].generated[:2] == (1.0, 0.0)
    assert found["ring sizes"].real[:2] == pytest.approx((1 / 3, 2 / 3))
    assert found["rings"].real[:3] == pytest.approx((0, 0.5, 0.5))
    assert found["rings"].wasserstein == pytest.approx(0.5)


def test_rings_on_one_side_only_are_as_far_as_can_be() -> None:
    assert measured(graphs("CC"), graphs("C1CC1"))["ring sizes"].total_variation == 1
    assert measured(graphs("CC"), graphs("CCC"))["ring sizes"].total_variation == 0


def test_fewer_molecules_are_further_off_by_chance() -> None:
    real = graphs(*["CC", "CCO", "C1CC1", "CC#N", "CCCC", "OCCO"] * 10)
    few, many = (measured(graphs(*["CC"] * n), real)["size"].by_chance for n in (5, 500))
    assert few > 3 * many > 0


shares = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(lambda drawn: np.array(drawn) / sum(drawn))


@given(shares, shares, shares)
def test_both_distances_are_metrics(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> None:
    for distance in (total_variation, wasserstein):
        assert distance(p, q) == pytest.approx(distance(q, p))
        assert distance(p, r) <= distance(p, q) + distance(q, r) + 1e-12
    assert total_variation(p, q) <= min(1, wasserstein(p, q) + 1e-12)
