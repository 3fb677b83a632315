"""What one entry looked like at an earlier time s, given what it looks like at time t > s.

All functions work on any leading shape; `k` is the number of classes, `kept_s` and `kept_t` are alphas-bar at s and t
(broadcast against the leading shape), `noisy` holds class indices at t. Times need not be neighbours, so the same
formulas serve strided sampling.

In the docstrings a_s and a_t are these alphas-bar, m is the marginal, and [i = k] is 1 if i is k, else 0. The noise
keeps an entry or draws it anew from m, so that

    q(z_s = k | x)   = a_s [x = k] + (1 - a_s) m(k)
    q(z_t | z_s = k) = a [z_t = k] + (1 - a) m(z_t),  a = a_t / a_s,

and the two compose, as a a_s = a_t (Vignac et al. 2023, section 4.1).
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

    By Bayes' rule, and because z_t depends on x by z_s alone, it is q(z_t | z_s) q(z_s | x) / q(z_t | x) (Austin et al.
    2021, equation 3). The denominator does not depend on z_s; dividing by the sum over z_s takes its place.

    Exact where `clean` is one-hot. For a prediction this is what the reference's NLL uses, though not what is sampled
    (`compute_posterior_distribution` in its diffusion_utils.py).
    """
    reached = kept_s[..., None] * clean + (1 - kept_s[..., None]) * marginal
    joint = _backward_likelihood(noisy, kept_s, kept_t, marginal) * reached
    return joint / joint.sum(-1, keepdim=True).clamp_min(torch.finfo(joint.dtype).tiny)  # (..., k)


def mixture_posterior(clean: Tensor, noisy: Tensor, kept_s: Tensor, kept_t: Tensor, marginal: Tensor) -> Tensor:
    """p(z_s | z_t) = sum over x of `clean`(x) q(z_s | z_t, x): what sampling draws from (Vignac et al. 2023, eq. 6).

    With Bayes' rule for each x, and r(x) = clean(x) / q(z_t | x), it is

        q(z_t | z_s) * sum over x of r(x) q(z_s | x),  where
        sum over x of r(x) q(z_s = k | x) = a_s r(k) + (1 - a_s) m(k) * sum over x of r(x).

    So one sum over the classes does what a table of k x k posteriors would.
    """
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

    For a known x, averaging over q(z_t | x) = a_t x + (1 - a_t) m gives q(z_s | x) whatever `memory` is: m is drawn
    with probability

        stays (1 - a_t) + (1 - memory) (1 - a_s) = 1 - a_s,  for stays = memory (1 - a_s) / (1 - a_t),

    and x stands with stays a_t + arrives = a_s, for arrives = a_s - stays a_t. None of the three probabilities is
    negative, as stays is at most 1 and a_t at most a_s.
    """
    stays = memory * (1 - kept_s) / (1 - kept_t)
    arrives = kept_s - stays * kept_t
    drawn = arrives[..., None] * clean + ((1 - memory) * (1 - kept_s))[..., None] * marginal
    return drawn.scatter_add(-1, noisy.long()[..., None], stays.expand(noisy.shape)[..., None])  # (..., k)
