"""What a site does for SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378, Algorithm 1), with any optimiser.

With c the server's control variate and c_i the site's own, each of K steps is made of

    g_k = gradient of the site's loss at y_k              the batch's, before it is clipped
    y_{k+1} = a step of the optimiser from y_k along clip(g_k - c_i + c)

and after them

    c_i+ = (g_1 + ... + g_K) / K.

The site sends y_K and c_i+ - c_i, and keeps c_i+ as its c_i if the update counts. Before its first round c_i is 0.

For SGD with a constant rate eta and without clipping or decay this is option II of the paper to the letter: the steps
add up to

    x - y_K = eta sum_k (g_k - c_i + c) = K eta (c_i+ - c_i + c),

and so c_i+ = c_i - c + (x - y_K) / (K eta). With other optimisers, (x - y_K) / (K eta) is no gradient: the steps of
AdamW and Muon have the length of the learning rate whatever the gradient is, carry momentum over from the round
before, and decay the weights; with a rate that changes, eta would weigh the round's early gradients more than its late
ones. The mean of the gradients is what the formula is for, an estimate of the site's gradient near the round's model,
and needs none of that. The optimiser is given the corrected gradient, an estimate of the gradient of the federation's
objective on every site, and does with it what it does with any: its moments are those of corrected gradients, and stay
at the site. All steps weigh the same, whatever their learning rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from fedmol.closed import Closed
from fedmol.fl.local_methods.base import OnGradient, RoundEnd, Vectors
from fedmol.fl.payload import CONTROL

if TYPE_CHECKING:
    from torch.nn import Parameter

    from fedmol.fl.local_methods.base import Tensors

_GRADIENTS = "gradients"


class Scaffold(Closed):
    """It goes with the strategy of the same name."""

    name: Literal["scaffold"]
    sums: ClassVar[tuple[str, ...]] = (_GRADIENTS,)

    def before_round(self, start: Tensors, kept: Tensors, sums: Tensors) -> OnGradient | None:
        corrections = start[CONTROL]
        if CONTROL in kept:
            corrections = [control - own for control, own in zip(corrections, kept[CONTROL], strict=True)]

        def correct(parameters: Sequence[Parameter]) -> None:
            for parameter, total, correction in zip(parameters, sums[_GRADIENTS], corrections, strict=True):
                if parameter.grad is not None:
                    total.add_(parameter.grad)
                    parameter.grad.add_(correction)

        return correct

    def after_round(self, start: Vectors, kept: Vectors, sums: Vectors, steps: int) -> RoundEnd:
        control = sums[_GRADIENTS] / np.float32(steps)
        change = control - kept[CONTROL] if CONTROL in kept else control
        return RoundEnd(sections={CONTROL: change}, kept={CONTROL: control})
