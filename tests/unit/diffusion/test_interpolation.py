from __future__ import annotations

import pytest
import torch

from fedmol.diffusion.noise_model import cosine_alphas_bar
from fedmol.diffusion.posterior import interpolation
from tests.support.transitions import transition_matrix

KEPT = cosine_alphas_bar(500)
MARGINAL = torch.tensor([0.72, 0.12, 0.15, 0.01], dtype=torch.float64)
CERTAIN = torch.eye(4, dtype=torch.float64)
JUMPS = [(0, 1), (100, 160), (3, 500), (250, 499)]


def kernel(s: int, t: int, memory: float) -> torch.Tensor:
    """q(z_s | z_t, x) for all x (rows) and z_t (columns)."""
    noisy = torch.arange(4).expand(4, 4)
    return interpolation(CERTAIN[:, None].expand(4, 4, 4), noisy, KEPT[s], KEPT[t], MARGINAL, memory)


@pytest.mark.parametrize(("s", "t"), JUMPS)
@pytest.mark.parametrize("memory", [0.0, 0.4, 1.0])
def test_every_memory_reaches_the_forward_process(s: int, t: int, memory: float) -> None:
    """Sum over z_t of q(z_t | x) q(z_s | z_t, x) = q(z_s | x), the condition that lets one denoiser serve them all."""
    reached = torch.einsum("xt,xts->xs", transition_matrix(KEPT[t], MARGINAL), kernel(s, t, memory))
    torch.testing.assert_close(reached, transition_matrix(KEPT[s], MARGINAL))


@pytest.mark.parametrize(("s", "t"), JUMPS)
def test_without_memory_only_the_prediction_counts(s: int, t: int) -> None:
    anew = transition_matrix(KEPT[s], MARGINAL)
    torch.testing.assert_close(kernel(s, t, 0.0), anew[:, None].expand(4, 4, 4))


@pytest.mark.parametrize(("s", "t"), JUMPS)
def test_full_memory_changes_classes_only_towards_the_prediction(s: int, t: int) -> None:
    moves = kernel(s, t, 1.0)
    for x in range(4):
        for z_t in range(4):
            others = [k for k in range(4) if k not in (x, z_t)]
            assert moves[x, z_t, others].sum() == 0
    torch.testing.assert_close(moves.sum(-1), torch.ones(4, 4, dtype=torch.float64))


def test_an_unsure_prediction_gives_the_mixture_of_the_sure_ones() -> None:
    guess = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    mixed = interpolation(guess.expand(4, 4), torch.arange(4), KEPT[100], KEPT[300], MARGINAL, 0.5)
    torch.testing.assert_close(mixed, torch.einsum("x,xts->ts", guess, kernel(100, 300, 0.5)))
