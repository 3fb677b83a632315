"""The model after each round on disk: one safetensors file a round, written whole, the oldest removed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedmol.federation.algorithms import State, Vector
from fedmol.training import checkpoint

_MODEL = "model"


def vector_digest(vector: Vector) -> str:
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").tobytes()).hexdigest()


class RoundStore:
    """Checkpoints `round-0001.safetensors` and on: the model that left the round and the algorithm's state."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, max(keep, 2)  # a replay of the open round needs the one before

    def path(self, round: int) -> Path:
        return self.folder / f"round-{round:04d}.safetensors"

    def rounds(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("round-")) for path in self.folder.glob("round-*.safetensors"))

    def save(self, round: int, model: Vector, state: State, meta: dict[str, Any]) -> Path:
        tensors = {_MODEL: torch.from_numpy(model), **{f"state.{k}": torch.from_numpy(v) for k, v in state.items()}}
        checkpoint.save(self.path(round), tensors, {**meta, "round": round, "digest": vector_digest(model)})
        for old in self.rounds()[: -self.keep]:
            self.path(old).unlink(missing_ok=True)
        return self.path(round)

    def load(self, round: int) -> tuple[Vector, State, dict[str, Any]]:
        tensors, meta = checkpoint.load(self.path(round))
        state = {k.removeprefix("state."): v.numpy() for k, v in tensors.items() if k.startswith("state.")}
        return tensors[_MODEL].numpy(), state, meta

    def state_before(self, round: int) -> State:
        """The algorithm's state with which `round` starts."""
        return self.load(round - 1)[1] if self.path(round - 1).exists() else {}
