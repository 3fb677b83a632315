"""What one entry looked like at an earlier time s, given what it looks like at time t > s.

All functions work on any leading shape; `k` is the number of classes, `kept_s` and `kept_t` are alphas-bar at s and t
(broadcast against the leading shape), `noisy` holds class indices at t. Times need not be neighbours, so the same
formulas serve strided sampling.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def _backward_likelihood(noisy: Tensor, kept_s: Tensor, kept_t: Tensor, marginal: Tensor) -> Tensor:
    """q(z_t | z_s = k) for every k."""
    alpha = (kept_t / kept_s)[..., None]
    stays = one_hot(noisy.long(), marginal.shape[0])
    return alpha * stays + (1 - alpha) * marginal[noisy.long()][..., None]  # (..., k)


def plug_in_posterior(clean: Tensor, noisy: Tensor, kept_s: Tensor, kept_t: Tensor, marginal: Tensor) -> Tensor:
    """q(z_s | z_t, x) with the distribution `clean` (..., k) put in the place of a known x.

    Exact where `clean` is one-hot. For a prediction this is what the reference's NLL uses, though not what is sampled
    (`compute_posterior_distribution` in its diffusion_utils.py).
    """
    reached = kept_s[..., None] * clean + (1 - kept_s[..., None]) * marginal
    joint = _backward_likelihood(noisy, kept_s, kept_t, marginal) * reached
    return joint / joint.sum(-1, keepdim=True).clamp_min(torch.finfo(joint.dtype).tiny)  # (..., k)


def mixture_posterior(clean: Tensor, noisy: Tensor, kept_s: Tensor, kept_t: Tensor, marginal: Tensor) -> Tensor:
    """p(z_s | z_t) = sum over x of `clean`(x) q(z_s | z_t, x): what sampling draws from (Vignac et al. 2023, eq. 6)."""
    tiny = torch.finfo(clean.dtype).tiny ** 0.5
    stays = one_hot(noisy.long(), marginal.shape[0])
    evidence = kept_t[..., None] * stays + ((1 - kept_t) * marginal[noisy.long()])[..., None]  # q(z_t | x)
    share = clean / evidence.clamp_min(tiny)
    reached = kept_s[..., None] * share + (1 - kept_s[..., None]) * marginal * share.sum(-1, keepdim=True)
    joint = _backward_likelihood(noisy, kept_s, kept_t, marginal) * reached
    return joint / joint.sum(-1, keepdim=True).clamp_min(tiny)  # (..., k)


def interpolation(
    clean: Tensor, noisy: Tensor, kept_s: Tensor, kept_t: Tensor, marginal: Tensor, memory: float
) -> Tensor:
    """p(z_s | z_t) for the prediction `clean` (..., k): z_t with some probability, else `clean`, else a marginal draw.

    For a known x, averaging over q(z_t | x) gives q(z_s | x) whatever `memory` is.
    """
    stays = memory * (1 - kept_s) / (1 - kept_t)
    arrives = kept_s - stays * kept_t
    drawn = arrives[..., None] * clean + ((1 - memory) * (1 - kept_s))[..., None] * marginal
    return drawn.scatter_add(-1, noisy.long()[..., None], stays.expand(noisy.shape)[..., None])  # (..., k)
