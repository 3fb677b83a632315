"""DiGress' attention, whose queries and keys meet feature by feature, with few passes over its tensors.

The only tensors of shape (B, N, N, dx) in the network are here, and much of its time and most of its memory go to
them. So the gradient is written out: it keeps three of them where automatic differentiation would keep seven.

With nodes i and j, features c of nodes and d of pairs, and h_j = `hidden`:

    s_ijc       = q_ic k_jc f_ijc + o_ijc                 (scores)
    a_ijc       = softmax over j of (s_ijc + h_j)         (attention)
    seen_ic     = sum over j of a_ijc v_jc
    learned_ijd = sum over c of s_ijc w_dc                (w is `out`)

Let S_ic and L_ijd be the gradients of the loss by `seen` and `learned`. From da_ij'/ds_ij = a_ij' ([j = j'] - a_ij),

    ds_ijc = a_ijc S_ic (v_jc - seen_ic) + sum over d of L_ijd w_dc    (1)
    dv_jc  = sum over i of a_ijc S_ic                                  (2)
    dw_dc  = sum over i, j of L_ijd s_ijc                              (3)
    dq_ic  = sum over j of ds_ijc f_ijc k_jc                           (4)
    dk_jc  = sum over i of ds_ijc f_ijc q_ic                           (5)
    df_ijc = ds_ijc q_ic k_jc,  do_ijc = ds_ijc                        (6)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def attend(
    query: Tensor, key: Tensor, value: Tensor, factor: Tensor, offset: Tensor, out: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    """What nodes (B, N, dx) and pairs (B, N, N, de) learn from the scores query_i * key_j * factor_ij + offset_ij.

    Nodes learn the values weighted by the softmax of the scores over j, each feature by itself; pairs learn the scores
    times `out` (B, de, dx), a matrix for each graph. `query`, `key` and `value` are (B, N, dx), `factor` and `offset`
    (B, N, N, dx), and `hidden` (B, 1, N, 1) is -inf for empty slots, else 0. All have one dtype.
    """
    # On a GPU, autocast would have the softmax in float32, and the gradient would meet two dtypes.
    with torch.autocast(query.device.type, enabled=False):
        seen, learned = _Attend.apply(query, key, value, factor, offset, out, hidden)  # type: ignore[no-untyped-call]
    return seen, learned


class _Attend(Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        factor: Tensor,
        offset: Tensor,
        out: Tensor,
        hidden: Tensor,
    ) -> tuple[Tensor, Tensor]:
        product = query[:, :, None] * key[:, None]  # (B, N, N, dx)
        scores = torch.addcmul(offset, product, factor)
        learned = (scores.flatten(1, 2) @ out.mT).view(*scores.shape[:3], -1)  # (B, N, N, de)
        attention = torch.add(scores, hidden, out=product).softmax(2)
        seen = (attention * value[:, None]).sum(2)  # (B, N, dx)
        ctx.save_for_backward(query, key, value, factor, out, scores, attention, seen)
        return seen, learned

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_seen: Tensor, to_learned: Tensor) -> tuple[Tensor | None, ...]:
        """Equations (1) to (6) at the top; the tensors that are no longer needed are written over."""
        query, key, value, factor, out, scores, attention, seen = ctx.saved_tensors
        query, key, rows = query[:, :, None], key[:, None], to_learned.flatten(1, 2)
        weighted = attention * to_seen[:, :, None]
        to_value = weighted.sum(1)  # (2)
        to_scores = weighted.mul_(value[:, None] - seen[:, :, None])
        to_scores.flatten(1, 2).baddbmm_(rows, out)  # (1)
        to_out = rows.mT @ scores.flatten(1, 2)  # (3)
        to_product = to_scores * factor
        to_query = (to_product * key).sum(2)  # (4)
        to_key = to_product.mul_(query).sum(1)  # (5)
        to_factor = torch.mul(to_scores, query, out=to_product).mul_(key)  # (6)
        return to_query, to_key, to_value, to_factor, to_scores, to_out, None
