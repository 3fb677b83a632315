"""Muon: momentum whose update is made orthogonal, for the matrices inside a network (Jordan et al. 2024).

Of all changes D of a matrix whose largest singular value is 1, D = -U V^T lowers the loss most, to first order, where
the gradient is U S V^T: trace(G^T D) is then minus the sum of the singular values. In place of the gradient stands
Nesterov's momentum, with b = `momentum`:

    M <- b M + (1 - b) G
    N  = b M + (1 - b) G
    W <- (1 - lr decay) W - lr 0.2 sqrt(max(m, n)) U V^T,  where N = U S V^T.

An m x n matrix U V^T has min(m, n) singular values of 1, so the squares of its entries add up to min(m, n), and their
root mean square is 1 / sqrt(max(m, n)). The factor makes 0.2 of it, about that of an update of AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fedmol.models.denoiser import bfloat16_pays

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the quintic x -> a x + b x^3 + c x^5 that drives singular values to 1
LOW_PRECISION_ITERATIONS = 3  # with more of them, bfloat16's rounding of small singular values grows out of bounds


class Muon(Optimizer):
    """`torch.optim.Muon` with matrices of equal shape worked on together.

    The learning rate means what it means to AdamW: updates have a root mean square of about 0.2 (Liu et al. 2025,
    "Muon is scalable for LLM training", section 2.2). Where `found_inf` has been set to a tensor that is not 0, a
    step changes nothing, as in torch's fused optimisers.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        iterations: int = LOW_PRECISION_ITERATIONS,
    ) -> None:
        in_shapes = sorted(matrices, key=lambda matrix: tuple(matrix.shape))
        settings = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "iterations": iterations}
        super().__init__(in_shapes, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure is ever called
        """One step along the gradients that there are."""
        for group in self.param_groups:
            trained = [matrix for matrix in group["params"] if matrix.grad is not None]
            for _, alike in groupby(trained, key=lambda matrix: matrix.shape):
                self._step_alike(list(alike), group)

    def _step_alike(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        momenta = [self._momentum(matrix) for matrix in matrices]
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        sound: float | Tensor = 1.0
        if self.found_inf is not None:
            sound = 1 - self.found_inf
            gradients = [torch.where(sound > 0, g, m) for g, m in zip(gradients, momenta, strict=True)]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        torch._foreach_lerp_(gradients, momenta, group["momentum"])
        scale = 0.2 * max(matrices[0].shape) ** 0.5 * group["lr"] * sound
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"] * sound)
        torch._foreach_sub_(matrices, orthogonal(gradients, group["iterations"], scale).unbind())

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonal(matrices: list[Tensor], iterations: int, scale: float | Tensor = 1.0) -> Tensor:
    """`scale` U V^T for each matrix U S V^T, roughly: singular values end between about 0.5 and 1.2. (K, m, n)

    The Newton-Schulz iteration X <- B X with B = a + b G + c G^2 and G = X X^T takes every singular value x to
    a x + b x^3 + c x^5 and leaves the singular vectors: with X = U S V^T it is G = U S^2 U^T, and so
    B X = U (a S + b S^3 + c S^5) V^T. It starts from X / |X|, whose singular values are at most 1: the square of the
    Frobenius norm is the sum of their squares, and the trace of G.

    Here it is done on G, whose side is the smaller one of X: as B is symmetric and commutes with G,
    G <- (B X) (B X)^T = B G B. X is multiplied once at the end, by the product of all B: half the work for the shapes
    of a transformer.
    """
    low = iterations <= LOW_PRECISION_ITERATIONS and bfloat16_pays(matrices[0].device)
    stacked = matrices[0].new_empty((len(matrices), *matrices[0].shape), dtype=torch.bfloat16 if low else torch.float32)
    torch._foreach_copy_(list(stacked.unbind()), matrices)
    wide = stacked if stacked.shape[1] <= stacked.shape[2] else stacked.mT  # (K, s, l), s <= l
    gram = wide @ wide.mT
    norm = _diagonal(gram).float().sum(1).sqrt().clamp_min(1e-7)[:, None, None]  # Frobenius, of each matrix
    product = _product_of_brackets(gram / norm.square().to(gram.dtype), iterations)
    near = (product * (scale / norm)).to(wide.dtype) @ wide
    return near if wide is stacked else near.mT


def _product_of_brackets(gram: Tensor, iterations: int) -> Tensor:
    a, b, c = COEFFICIENTS
    product = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device).expand_as(gram)
    for iteration in range(iterations):
        bracket = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        _diagonal(bracket).add_(a)
        product = bracket if iteration == 0 else bracket @ product
        if iteration + 1 < iterations:
            gram = bracket @ gram @ bracket
    return product  # (K, s, s)


def _diagonal(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=1, dim2=2)
