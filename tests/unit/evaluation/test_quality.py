from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmol.chem.graphs_to_molecules import Reading
from fedmol.evaluation.quality import Rate, measure


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [  # scipy.stats.binomtest(count, total).proportion_ci(method="wilson")
        (0, 10, 0.0, 0.2775328),
        (5, 10, 0.2365931, 0.7634069),
        (10, 10, 0.7224672, 1.0),
        (956, 1000, 0.9414482, 0.9670618),
    ],
)
def test_wilson_interval_against_known_values(count: int, total: int, low: float, high: float) -> None:
    assert Rate(count, total).interval == pytest.approx((low, high), abs=1e-6)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_is_a_share(drawn: tuple[int, int]) -> None:
    rate = Rate(*drawn)
    low, high = rate.interval
    assert 0 <= low <= rate.share <= high <= 1


def test_nothing_counted_says_nothing() -> None:
    assert math.isnan(Rate(0, 0).share)
    assert Rate(0, 0).interval == (0.0, 1.0)


SAMPLES = [
    Reading("CC", "CC", connected=True),
    Reading("CC", "CC", connected=False),
    Reading("CO", "CO", connected=True),
    Reading(None, "C[NH3+]", connected=True),
    Reading(None, "C[NH3+]", connected=True),
    Reading(None, None, connected=False),
]


def test_validity_and_connectedness_are_of_all_samples() -> None:
    quality = measure(SAMPLES, set())
    assert quality.validity == Rate(3, 6)
    assert quality.relaxed_validity == Rate(5, 6)
    assert quality.connected == Rate(4, 6)


def test_uniqueness_is_of_relaxed_valid_and_of_strictly_valid() -> None:
    quality = measure(SAMPLES, set())
    assert quality.uniqueness == Rate(3, 5)
    assert quality.uniqueness_strict == Rate(2, 3)


def test_novelty_is_of_distinct_molecules() -> None:
    quality = measure(SAMPLES, {"CC", "CCC"})
    assert quality.novelty == Rate(2, 3)
    assert quality.novelty_strict == Rate(1, 2)
    assert quality.valid_unique_novel == Rate(1, 6)


def test_nothing_valid_is_no_error() -> None:
    quality = measure([Reading(None, None, connected=False)], {"CC"})
    assert quality.validity == Rate(0, 1)
    assert quality.uniqueness == Rate(0, 0)
    assert quality.novelty == Rate(0, 0)
