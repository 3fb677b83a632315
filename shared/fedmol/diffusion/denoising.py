"""The interface between diffusion and denoisers: what a denoiser is called with, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from torch import Tensor, nn, no_grad

from fedmol.diffusion.conditions import Conditions

BATCH = {"cpu": 256, "cuda": 4096}  # molecules that go through the network together, where nothing else is asked for


class Logits(NamedTuple):
    """Unnormalised log-probabilities of the clean graph's classes; zero outside the graph and on the diagonal."""

    atoms: Tensor  # (B, N, a)
    bonds: Tensor  # (B, N, N, b), symmetric


class Denoises(Protocol):
    """Predicts the clean graph from a noisy one, whose properties `conditions` may tell; without them nothing is known.

    `atoms` (B, N) and `bonds` (B, N, N), symmetric, are class indices; `counts` is (B,), and `time` (B,) is t / T in
    [0, 1].
    """

    def __call__(
        self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits: ...


@contextmanager
def evaluating(denoiser: Denoises) -> Iterator[None]:
    """Without gradients and, for a module, in evaluation mode; the module's own mode comes back afterwards."""
    training = isinstance(denoiser, nn.Module) and denoiser.training
    if isinstance(denoiser, nn.Module):
        denoiser.eval()
    try:
        with no_grad():
            yield
    finally:
        if isinstance(denoiser, nn.Module):
            denoiser.train(training)
