"""Plain local training: the optimiser's steps on the site's own loss (McMahan et al. 2017, arXiv 1602.05629)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fedmol.closed import Closed
from fedmol.fl.local_methods.base import OnGradient, Stateless

if TYPE_CHECKING:
    from fedmol.fl.local_methods.base import Tensors


class Plain(Stateless, Closed):
    name: Literal["plain"] = "plain"

    def before_round(self, start: Tensors, kept: Tensors, sums: Tensors) -> OnGradient | None:
        return None
