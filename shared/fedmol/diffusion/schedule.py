"""How much of a clean graph is left after `t` steps of noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

OFFSET = 0.008
LARGEST_BETA = 0.9999


def cosine_alphas_bar(steps: int) -> Tensor:
    """Probability that an entry is still untouched by the noise at t = 0..`steps`, float64.

    The discrete cosine schedule of DiGress (Nichol & Dhariwal 2021, equation 17, on `steps` + 2 points): already
    t = 0 is slightly noisy. Every single step is capped at `LARGEST_BETA`, as the reference does, so that the last
    value is tiny but not zero.
    """
    points = torch.arange(steps + 2, dtype=torch.float64) / (steps + 1)
    kept = torch.cos(0.5 * math.pi * (points + OFFSET) / (1 + OFFSET)) ** 2
    beta = (1 - kept[1:] / kept[:-1]).clamp(max=LARGEST_BETA)
    return torch.exp(torch.cumsum(torch.log1p(-beta), dim=0))  # (T + 1,)
