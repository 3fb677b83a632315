"""The model after each round on disk: one safetensors file a round, written whole, the oldest removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fedmol.federation.algorithms import State, Vector, vector_digest
from fedmol.federation.round_files import RoundFiles
from fedmol.training import checkpoint

_MODEL, _STATE = "model", "state."


class RoundStore:
    """Checkpoints `round-0001.safetensors` and on: the model that left the round and the algorithm's state."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.files = RoundFiles(folder, max(keep, 2))  # a replay of the open round needs the one before

    def has(self, round: int) -> bool:
        return self.files.path(round).exists()

    def save(self, round: int, model: Vector, state: State, meta: dict[str, Any]) -> None:
        kept = checkpoint.prefixed(_STATE, {name: torch.from_numpy(array) for name, array in state.items()})
        tensors = {_MODEL: torch.from_numpy(model), **kept}
        checkpoint.save(self.files.path(round), tensors, {**meta, "round": round, "digest": vector_digest(model)})
        self.files.prune()

    def load(self, round: int) -> tuple[Vector, State, dict[str, Any]]:
        tensors, meta = checkpoint.load(self.files.path(round))
        state = {name: tensor.numpy() for name, tensor in checkpoint.without_prefix(_STATE, tensors).items()}
        return tensors[_MODEL].numpy(), state, meta

    def state_before(self, round: int) -> State:
        """The algorithm's state with which `round` starts."""
        return self.load(round - 1)[1] if self.has(round - 1) else {}
