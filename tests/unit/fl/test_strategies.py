"""Each strategy against its formula."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmol.errors import FedmolError
from fedmol.fl.aggregation import shares
from fedmol.fl.federation import parse
from fedmol.fl.strategies import FedAvg
from fedmol.fl.strategies.fedadam import FedAdam
from fedmol.fl.update_norms import largest_move, lower_median
from tests.support.in_memory import PARAMETERS, Build


def test_fedavg_does_not_depend_on_who_came_first(federation: Build) -> None:
    models = set()
    for order in itertools.permutations("abc"):
        one = federation()
        for site in order:
            one.report(site, 1)
        one.engine.tick()
        models.add(one.model.tobytes())
    assert len(models) == 1


def test_fedadam_is_algorithm_2_of_the_paper(federation: Build) -> None:
    chosen = FedAdam(name="fedadam", learning_rate=0.05, beta_1=0.8, beta_2=0.95, tau=1e-2)
    one, plain = federation(strategy=chosen), federation(strategy=FedAvg())
    w = one.initial.astype(np.float64)
    m, v = np.zeros(PARAMETERS), np.full(PARAMETERS, chosen.tau**2)
    for round in (1, 2, 3):
        plain.engine._last = one.engine._last  # the same start, so that plain averaging gives the mean movement
        one.play(round)
        plain.play(round)
        delta = plain.model - w
        m = chosen.beta_1 * m + (1 - chosen.beta_1) * delta
        v = chosen.beta_2 * v + (1 - chosen.beta_2) * delta**2
        w = w + chosen.learning_rate * m / (np.sqrt(v) + chosen.tau)
        np.testing.assert_allclose(one.model, w, rtol=0, atol=1e-5)
    assert np.abs(w - one.initial).max() > 0.01


@pytest.mark.parametrize(
    ("said", "expected"),
    [("fedavg", FedAvg()), ({"name": "fedadam", "tau": 0.1}, FedAdam(name="fedadam", tau=0.1))],
)
def test_a_strategy_is_named_in_the_settings(said: object, expected: object) -> None:
    assert parse({"sites": [{"name": "a"}], "strategy": said}, "test").strategy == expected


@pytest.mark.parametrize("said", ["fedmagic", {"name": "fedavg", "tau": 1}, {"name": "fedadam", "beta_1": 1.5}, 3])
def test_an_unknown_strategy_or_setting_is_refused(said: object) -> None:
    with pytest.raises(FedmolError, match="strategy"):
        parse({"sites": [{"name": "a"}], "strategy": said}, "test")


@given(
    st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(1, 10**9), min_size=1, max_size=12),
    st.one_of(st.none(), st.floats(0.01, 1)),
)
def test_shares_sum_to_one_and_keep_to_the_cap(molecules: dict[str, int], cap: float | None) -> None:
    weights = shares(molecules, cap)
    assert list(weights) == sorted(molecules)
    assert sum(weights.values()) == pytest.approx(1)
    if cap is not None:
        assert max(weights.values()) <= max(cap, 1 / len(weights)) * (1 + 1e-9)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=9), st.integers(1, 1000), st.floats(1, 5), st.data())
def test_a_minority_moves_the_limit_no_further_than_to_an_honest_move(
    honest: list[float], steps: int, ratio: float, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, len(honest) - 1))
    lies = data.draw(st.lists(st.floats(0, 1e30), min_size=count, max_size=count))
    limit = largest_move([*honest, *lies], steps, ratio)
    assert limit <= min(1.0, ratio * max(max(honest), steps**-0.5)) + 1e-9
    assert limit >= min(1.0, ratio * max(min(honest), steps**-0.5)) - 1e-9
    assert lower_median(honest) <= max(honest)
