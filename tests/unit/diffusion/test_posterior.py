from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedmol.diffusion.noise_model import cosine_alphas_bar
from fedmol.diffusion.posterior import mixture_posterior, plug_in_posterior
from tests.support.transitions import transition_matrix

KEPT = cosine_alphas_bar(500)


def brute_force(x: int, z_t: int, s: int, t: int, marginal: Tensor) -> Tensor:
    """q(z_s | z_t, x) by enumerating z_s, from the transition matrices alone."""
    to_s = transition_matrix(KEPT[s], marginal)
    step = transition_matrix(KEPT[t] / KEPT[s], marginal)
    joint = to_s[x] * step[:, z_t]
    return joint / joint.sum()


def marginals(classes: int) -> st.SearchStrategy[Tensor]:
    weights = st.lists(st.floats(0.01, 1.0), min_size=classes, max_size=classes)
    return weights.map(lambda w: torch.tensor(w, dtype=torch.float64) / sum(w))


times = st.tuples(st.integers(0, 498), st.integers(1, 60)).map(lambda pair: (pair[0], min(499, pair[0] + pair[1])))


@settings(max_examples=60, deadline=None)
@given(marginal=marginals(4), prediction=marginals(4), when=times)
def test_both_posteriors_against_bayes(marginal: Tensor, prediction: Tensor, when: tuple[int, int]) -> None:
    s, t = when
    noisy = torch.arange(4)
    mixture = mixture_posterior(prediction.expand(4, 4), noisy, KEPT[s], KEPT[t], marginal)
    for z_t in range(4):
        exact = torch.stack([brute_force(x, z_t, s, t, marginal) for x in range(4)])
        torch.testing.assert_close(mixture[z_t], prediction @ exact)
        known = plug_in_posterior(torch.eye(4, dtype=torch.float64), torch.full((4,), z_t), KEPT[s], KEPT[t], marginal)
        torch.testing.assert_close(known, exact)


@settings(max_examples=30, deadline=None)
@given(marginal=marginals(3), prediction=marginals(3), when=times)
def test_plug_in_posterior_is_the_references_formula(
    marginal: Tensor, prediction: Tensor, when: tuple[int, int]
) -> None:
    """(z_t Q_t^T) * (p Qbar_s) / (p Qbar_t z_t^T), matrix by matrix."""
    s, t = when
    to_s, to_t = transition_matrix(KEPT[s], marginal), transition_matrix(KEPT[t], marginal)
    step = transition_matrix(KEPT[t] / KEPT[s], marginal)
    for z_t in range(3):
        expected = step[:, z_t] * (prediction @ to_s) / (prediction @ to_t)[z_t]
        found = plug_in_posterior(prediction[None], torch.tensor([z_t]), KEPT[s], KEPT[t], marginal)[0]
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("posterior", [plug_in_posterior, mixture_posterior])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posterior_is_a_distribution_even_with_an_empty_class(posterior, dtype: torch.dtype) -> None:  # type: ignore[no-untyped-def]
    marginal = torch.tensor([0.7, 0.3, 0.0], dtype=dtype)
    prediction = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]], dtype=dtype)
    for s, t in [(499, 500), (0, 1), (0, 500), (100, 200)]:
        found = posterior(prediction, torch.tensor([0, 1, 0]), KEPT[s].to(dtype), KEPT[t].to(dtype), marginal)
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found.sum(-1), torch.ones(3, dtype=dtype))
