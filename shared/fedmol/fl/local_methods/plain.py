"""Plain local training: the optimiser's steps on the site's own loss (McMahan et al. 2017, arXiv 1602.05629)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fedmol.closed import Closed
from fedmol.fl.local_methods.base import OnGradient

if TYPE_CHECKING:
    from torch import Tensor


class Plain(Closed):
    name: Literal["plain"] = "plain"

    def before_round(self, start: Sequence[Tensor]) -> OnGradient | None:
        return None
