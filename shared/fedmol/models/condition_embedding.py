"""From conditions to the vector that tells every block of a denoiser of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedmol.diffusion.conditions import Conditions


class ConditionEmbedding(nn.Module):
    """Embeds `properties` values, and which of them are known, in a vector beside that of time and size.

    A null token is a value of 0 and a mask of 0, whatever stands in its place: with null tokens only, the result is the
    same for all graphs.
    """

    def __init__(self, properties: int, hidden: int, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(2 * properties, hidden), nn.Linear(hidden, width)

    def forward(self, conditions: Conditions) -> Tensor:
        """(B, width) from (B, K)."""
        values = torch.where(conditions.known, conditions.values, 0.0)
        told: Tensor = self.out(nn.functional.silu(self.hidden(torch.cat([values, conditions.known.float()], -1))))
        return told
