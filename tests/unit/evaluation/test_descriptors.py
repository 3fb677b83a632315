from __future__ import annotations

import math

import numpy as np
import pytest
from rdkit import Chem
from scipy.stats import gaussian_kde

from fedmol.evaluation.descriptors import (
    CONTINUOUS,
    DISCRETE,
    INTERNAL,
    continuous,
    density,
    describe,
    discrete,
    divergences,
    score,
)


def normal(mean: float, deviation: float) -> np.ndarray:
    return np.random.default_rng(0).normal(mean, deviation, 20_000)


def test_equal_samples_do_not_diverge() -> None:
    some = normal(0, 1)
    assert continuous(some, some) == pytest.approx(0, abs=1e-12)
    assert discrete(some.round(), some.round()) == pytest.approx(0, abs=1e-12)


def test_normal_distributions_against_the_closed_form() -> None:
    # KL(N(0, 1) || N(m, s^2)) = ln s + (1 + m^2) / (2 s^2) - 1/2
    found = continuous(normal(0.5, 2), normal(0, 1))
    assert found == pytest.approx(math.log(2) + 1.25 / 8 - 0.5, rel=0.1)


@pytest.mark.parametrize("digits", [1, 12])
def test_the_density_is_that_of_scipy(digits: int) -> None:
    some, points = normal(0, 1)[:1000].round(digits), np.linspace(-4, 4, 300)
    assert density(some, points) == pytest.approx(gaussian_kde(some)(points), rel=1e-10)


def test_discrete_values_against_the_closed_form() -> None:
    found = discrete(np.repeat([0.0, 9.0], [1, 3]), np.repeat([0.0, 9.0], [1, 1]))
    assert found == pytest.approx(0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75), abs=1e-6)


def test_what_never_varies_is_alike_or_not_at_all() -> None:
    constant = np.full(5, 3.0)
    assert continuous(constant, constant) == 0
    assert score([continuous(constant, normal(0, 1))]) == 0


def test_the_score_is_the_mean_of_the_parts() -> None:
    assert score([0.0, math.log(2)]) == pytest.approx(0.75)


def test_nine_descriptors_of_a_known_molecule() -> None:
    values = dict(zip((*CONTINUOUS, *DISCRETE), describe(Chem.MolFromSmiles("CC(=O)Nc1ccc(O)cc1")), strict=True))
    assert values["MolWt"] == pytest.approx(151.165, abs=1e-3)
    assert values["TPSA"] == pytest.approx(49.33, abs=1e-2)
    assert [values[name] for name in DISCRETE] == [2, 2, 1, 0, 1]


def test_each_descriptor_has_a_divergence() -> None:
    some = np.random.default_rng(0).random((50, 9))
    assert list(divergences(some, some, some[:, 0], some[:, 0])) == [*CONTINUOUS, *DISCRETE, INTERNAL]
