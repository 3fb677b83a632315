"""FedProx (Li et al. 2020, arXiv 1812.06127, equation 2): a site minimises

    F_k(w) + mu / 2 |w - w_t|^2

where w_t is the model that the round started from. The term holds back sites whose molecules pull far away from it.
Its gradient, mu (w - w_t), is added to that of the loss; the loss that is reported is F_k alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fedmol.closed import Closed
from fedmol.fl.local_methods.base import OnGradient, Stateless
from fedmol.fl.payload import MODEL

if TYPE_CHECKING:
    from torch.nn import Parameter

    from fedmol.fl.local_methods.base import Tensors


class FedProx(Stateless, Closed):
    """`mu` 0 is plain training; the paper tries 0.001 to 1."""

    name: Literal["fedprox"]
    mu: Annotated[float, Field(ge=0)] = 0.01

    def before_round(self, start: Tensors, kept: Tensors, sums: Tensors) -> OnGradient | None:
        def pull_back(parameters: Sequence[Parameter]) -> None:
            for parameter, before in zip(parameters, start[MODEL], strict=True):
                if parameter.grad is not None:
                    parameter.grad.add_(parameter.detach() - before, alpha=self.mu)

        return pull_back
