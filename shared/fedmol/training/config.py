"""The numbers that say how to train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. `warmup_share` is the share of all steps in which the learning rate rises linearly.

    `condition_dropout` is the probability with which a property that is known is not told, where there are properties;
    see `fedmol.diffusion.conditions.Conditions.dropped`.
    """

    optimizer: Literal["muon", "adamw"] = "muon"
    batch_size: int = 128
    learning_rate: float = 2e-3
    warmup_share: float = 0.05
    clip_norm: float = 1.0
    weight_decay: float = 1e-4
    condition_dropout: float = 0.1
