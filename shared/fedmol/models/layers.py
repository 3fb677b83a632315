"""What a whole graph learns from its nodes or pairs: mean, minimum, maximum and standard deviation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

SMALLEST_VARIANCE = 1e-12


def pooled(rows: Tensor, mask: Tensor) -> Tensor:
    """Mean, minimum, maximum and standard deviation of the rows (B, M, d) that `mask` (B, M) allows; 0 without any.

    The deviation is that of a sample (divided by the count less one). The gradient of an extreme value goes in equal
    parts to all rows that have it. Computed in float32 or wider, returned as `rows` are: (B, 4 d).
    """
    result: Tensor = _Pooled.apply(rows, mask[..., None])  # type: ignore[no-untyped-call]
    return result


class _Pooled(Function):
    """The gradient is written out, because automatic differentiation would keep eight tensors as large as `rows`.

    With n rows r_i in a feature, mean u and deviation s = sqrt(sum of (r_i - u)^2 / (n - 1) + epsilon):

        du/dr_i = 1 / n
        ds/dr_i = (r_i - u) / (s (n - 1)),

    the second because what r_i adds by way of u is a multiple of the sum of r_j - u, which is 0. An extreme value that
    h rows have gets 1 / h from each of them.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, mask: Tensor) -> Tensor:
        wide = _wide(rows)
        keep = mask.to(wide.dtype)
        count = keep.sum(1, keepdim=True)  # (B, 1, 1)
        away = torch.zeros_like(keep).masked_fill_(~mask, torch.inf)
        low, high = (wide + away).amin(1, keepdim=True), (wide - away).amax(1, keepdim=True)
        mean = (wide * keep).sum(1, keepdim=True) / count.clamp_min(1)
        variance = ((wide - mean) * keep).square().sum(1, keepdim=True) / (count - 1).clamp_min(1)
        deviation = (variance + SMALLEST_VARIANCE).sqrt()  # (B, 1, d), like the others
        ctx.save_for_backward(rows, keep, count, mean, low, high, deviation)
        found = torch.cat([mean, low, high, deviation], -1)[:, 0]
        return torch.where(count[:, 0] > 0, found, 0.0).to(rows.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows, keep, count, mean, low, high, deviation = ctx.saved_tensors
        wide = _wide(rows)
        to_mean, to_low, to_high, to_deviation = gradient[:, None].to(wide.dtype).chunk(4, -1)
        slope = to_deviation / (deviation * (count - 1).clamp_min(1))
        result = torch.addcmul(to_mean / count.clamp_min(1), wide - mean, slope)
        hits = torch.empty_like(wide)
        for extreme, share in ((low, to_low), (high, to_high)):
            torch.eq(wide, extreme, out=hits).mul_(keep)
            result.addcmul_(hits, share / hits.sum(1, keepdim=True).clamp_min(1))
        return result.mul_(keep).to(rows.dtype), None


def _wide(rows: Tensor) -> Tensor:
    return rows.to(torch.promote_types(rows.dtype, torch.float32))


LEVELS = 2**16  # the share is rounded to one of so many


def kept(like: Tensor, share: float) -> Tensor:
    """A mask of the shape of `like`: 0 with probability `share`, else 1 / (1 - `share`).

    From sixteen random bits per entry of torch's own generator, so `torch.manual_seed` governs it.
    """
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    bits = words.view(torch.int16)[: like.numel()].view(like.shape)  # uniform over -2^15 .. 2^15 - 1
    dropped = round(share * LEVELS)
    mask = torch.empty_like(like, requires_grad=False)
    torch.ge(bits, dropped - LEVELS // 2, out=mask)
    return mask.mul_(LEVELS / (LEVELS - dropped))
