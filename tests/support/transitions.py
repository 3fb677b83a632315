"""The marginal noise of DiGress: an entry keeps its class or is drawn anew from the data's marginal.

`alpha` is the probability of keeping. Between times s < t it is `alphas_bar[t] / alphas_bar[s]`, from clean data to
time t it is `alphas_bar[t]`: one formula serves both Q and Q-bar (Vignac et al. 2023, section 4.1).
"""

from __future__ import annotations

from torch import Tensor, eye


def transition_matrix(alpha: Tensor, marginal: Tensor) -> Tensor:
    """alpha I + (1 - alpha) 1 m^T: row = class before, column = class after; the rows sum to one."""
    identity = eye(marginal.shape[0], dtype=marginal.dtype, device=marginal.device)
    alpha = alpha[..., None, None]
    return alpha * identity + (1 - alpha) * marginal  # (..., k, k)


def noised(distribution: Tensor, alpha: Tensor, marginal: Tensor) -> Tensor:
    """`distribution` (..., k) after noise that keeps with probability `alpha` (...): its product with the matrix."""
    alpha = alpha[..., None]
    return alpha * distribution + (1 - alpha) * marginal * distribution.sum(-1, keepdim=True)  # (..., k)
