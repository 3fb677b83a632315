from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmol.errors import FedmolError
from fedmol.federation.algorithms import Update, fedavg, get, weighted_mean


def _updates(weights: list[float], size: int = 5) -> list[Update]:
    random = np.random.default_rng(0)
    total = sum(weights)
    return [
        Update(f"site-{i}", weight / total, random.normal(size=size).astype(np.float32))
        for i, weight in enumerate(weights)
    ]


def test_fedavg_is_the_weighted_mean() -> None:
    updates = _updates([1, 3])
    expected = 0.25 * updates[0].vector.astype(float) + 0.75 * updates[1].vector
    model, state = fedavg(np.zeros(5, np.float32), updates, {})
    np.testing.assert_allclose(model, expected, rtol=0, atol=1e-7)
    assert model.dtype == np.float32
    assert state == {}


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=4))
def test_the_order_of_arrival_does_not_change_a_bit(weights: list[float]) -> None:
    updates = _updates(weights)
    results = {weighted_mean(order).tobytes() for order in itertools.permutations(updates)}
    assert len(results) == 1


def test_an_unknown_algorithm_is_named() -> None:
    with pytest.raises(FedmolError, match="fedmagic"):
        get("fedmagic")
