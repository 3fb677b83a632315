from __future__ import annotations

import numpy as np
import pytest

from fedmol.evaluation.chemnet import activations, by_chance, frechet


def test_the_distance_of_a_shifted_and_stretched_set() -> None:
    some = np.random.default_rng(0).normal(size=(100, 4))
    covariance = np.cov(some.T)
    shift = some.mean(0) + 1  # of the mean, when all is doubled and moved by one
    assert frechet(some, 2 * some + 1) == pytest.approx(np.trace(covariance) + shift @ shift)
    assert frechet(some, some) == pytest.approx(0, abs=1e-9)


def test_the_distance_of_commuting_covariances_is_that_of_their_roots() -> None:
    some = np.random.default_rng(0).normal(size=(400, 3))
    some = (some - some.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(some.T))).T  # covariance 1
    assert frechet(some * [1, 2, 3], some * [3, 2, 1]) == pytest.approx(2 * (3 - 1) ** 2)


def test_by_chance_is_what_two_real_sets_are_apart() -> None:
    random = np.random.default_rng(1)
    apart = np.mean([frechet(random.normal(size=(300, 8)), random.normal(size=(600, 8))) for _ in range(40)])
    assert np.mean([by_chance(random.normal(size=(600, 8)), 300) for _ in range(10)]) == pytest.approx(apart, rel=0.15)


def test_chemnet_comes_with_its_package() -> None:
    told: list[int] = []
    found = activations(["CCO", "c1ccccc1"], [2, 1], told.append)
    assert found.shape == (3, 512)
    assert (found[0] == found[1]).all()
    assert not np.allclose(found[0], found[2])
    assert told == [2]
