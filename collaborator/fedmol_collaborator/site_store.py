"""What a site keeps on its own disk between rounds, so that a restart trains on as if nothing had happened."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedmol.federation.algorithms import Vector
from fedmol.training import checkpoint

_UPDATE, _OPTIMIZER = "update", "optimizer."
_KEPT_ROUNDS = 2  # the open round may be asked for again, and then starts from the one before


def input_digest(model: Vector) -> str:
    return hashlib.sha256(model.tobytes()).hexdigest()


@dataclass(frozen=True)
class TrainedRound:
    """A finished round: the update as sent, the optimiser after it, and what was measured."""

    round: int
    model_in: str  # digest of the model that the round started from
    update: Vector
    optimizer: dict[str, Tensor]
    metrics: dict[str, float]


@dataclass(frozen=True)
class PartialRound:
    """A round broken off after `steps` steps."""

    round: int
    model_in: str
    steps: int
    weights: Vector
    optimizer: dict[str, Tensor]


class SiteStore:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial_path = folder / "partial.safetensors"

    def _path(self, round: int) -> Path:
        return self.folder / f"round-{round:04d}.safetensors"

    def _rounds(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("round-")) for path in self.folder.glob("round-*.safetensors"))

    def save(self, trained: TrainedRound) -> None:
        tensors = {_UPDATE: torch.from_numpy(trained.update), **_prefixed(trained.optimizer)}
        meta = {"round": trained.round, "model_in": trained.model_in, "metrics": trained.metrics}
        checkpoint.save(self._path(trained.round), tensors, meta)
        self.partial_path.unlink(missing_ok=True)
        for old in self._rounds()[:-_KEPT_ROUNDS]:
            self._path(old).unlink(missing_ok=True)

    def trained(self, round: int, model_in: str) -> TrainedRound | None:
        """The round's result, if it was trained from this very model."""
        found = self._load(round) if self._path(round).exists() else None
        return found if found and found.model_in == model_in else None

    def optimizer_before(self, round: int) -> dict[str, Tensor] | None:
        """The optimiser's state with which `round` starts; None before the first training."""
        earlier = [r for r in self._rounds() if r < round]
        return self._load(earlier[-1]).optimizer if earlier else None

    def _load(self, round: int) -> TrainedRound:
        tensors, meta = checkpoint.load(self._path(round))
        return TrainedRound(
            meta["round"], meta["model_in"], _vector(tensors[_UPDATE]), _unprefixed(tensors), meta["metrics"]
        )

    def save_partial(self, partial: PartialRound) -> None:
        tensors = {_UPDATE: torch.from_numpy(partial.weights), **_prefixed(partial.optimizer)}
        meta = {"round": partial.round, "model_in": partial.model_in, "steps": partial.steps}
        checkpoint.save(self.partial_path, tensors, meta)

    def partial(self, round: int, model_in: str) -> PartialRound | None:
        """Where this round was broken off, if it was."""
        if not self.partial_path.exists():
            return None
        tensors, meta = checkpoint.load(self.partial_path)
        if meta["round"] != round or meta["model_in"] != model_in:
            return None
        return PartialRound(round, model_in, meta["steps"], _vector(tensors[_UPDATE]), _unprefixed(tensors))


def _vector(tensor: Tensor) -> Vector:
    vector: Vector = np.array(tensor.numpy(), dtype=np.float32)
    return vector


def _prefixed(optimizer: dict[str, Tensor]) -> dict[str, Tensor]:
    return {_OPTIMIZER + name: tensor for name, tensor in optimizer.items()}


def _unprefixed(tensors: dict[str, Any]) -> dict[str, Tensor]:
    return {k.removeprefix(_OPTIMIZER): v for k, v in tensors.items() if k.startswith(_OPTIMIZER)}
