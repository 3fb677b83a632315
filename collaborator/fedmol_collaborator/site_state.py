"""What a site keeps on its own disk between rounds, so that a restart trains on as if nothing had happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.fl.checkpoints import RoundFiles
from fedmol.fl.local_methods import Kept, Vectors
from fedmol.fl.payload import Vector
from fedmol.training import sealed_tensors

_UPDATE, _OPTIMIZER = "update", "optimizer."
_SECTION, _KEPT, _BEFORE, _SUM = "section.", "kept.", "before.", "sum."  # what local methods have besides
_KEPT_ROUNDS = 2  # the open round may be asked for again, and then starts from the one before


@dataclass(frozen=True)
class TrainedRound:
    """A finished round: the update as sent, the optimiser after it, and what was measured."""

    round: int
    model_in: str  # digest of what the round started from
    update: Vector
    optimizer: dict[str, Tensor]
    metrics: dict[str, float]
    sections: Vectors = field(default_factory=dict)  # that were sent with the model
    kept: Vectors = field(default_factory=dict)  # by the local method, which holds if the update counts
    before: Kept = field(default_factory=Kept)  # what the round started from, which holds if it does not

    @property
    def states(self) -> tuple[Kept, Kept]:
        """What may hold after this round."""
        return Kept(self.kept, self.round), self.before


@dataclass(frozen=True)
class PartialRound:
    """A round broken off after `steps` steps."""

    round: int
    model_in: str
    steps: int
    weights: Vector
    optimizer: dict[str, Tensor]
    sums: Vectors = field(default_factory=dict)  # of the local method


class SiteState:
    def __init__(self, folder: Path) -> None:
        files.remove_unfinished(folder)
        self.files = RoundFiles(folder, _KEPT_ROUNDS)
        self.partial_path = folder / "partial.safetensors"

    def save(self, trained: TrainedRound) -> None:
        tensors = {
            _UPDATE: torch.from_numpy(trained.update),
            **sealed_tensors.prefixed(_OPTIMIZER, trained.optimizer),
            **_tensors(_SECTION, trained.sections),
            **_tensors(_KEPT, trained.kept),
            **_tensors(_BEFORE, trained.before.vectors),
        }
        meta = {"round": trained.round, "model_in": trained.model_in, "metrics": trained.metrics}
        meta["before"] = trained.before.round
        sealed_tensors.save(self.files.path(trained.round), tensors, meta)
        self.partial_path.unlink(missing_ok=True)
        self.files.prune()

    def trained(self, round: int, model_in: str) -> TrainedRound | None:
        """The round's result, if it was trained from this very model.

        Raises:
            FedmolError: STATE_UNUSABLE when its file is damaged; so do the other methods that read.
        """
        found = self.ended(round) if self.files.path(round).exists() else None
        return found if found and found.model_in == model_in else None

    def round_before(self, round: int) -> int | None:
        """The last round before `round` whose state is here; None before the first training."""
        earlier = [r for r in self.files.rounds() if r < round]
        return earlier[-1] if earlier else None

    def ended(self, round: int) -> TrainedRound:
        """What `round` ended with."""
        path = self.files.path(round)
        tensors, meta = sealed_tensors.load(path)
        if _UPDATE not in tensors or meta.get("round") != round or not {"model_in", "metrics"} <= meta.keys():
            raise _another_file(path)
        return TrainedRound(
            round,
            meta["model_in"],
            _vector(tensors[_UPDATE]),
            sealed_tensors.without_prefix(_OPTIMIZER, tensors),
            meta["metrics"],
            _vectors(_SECTION, tensors),
            _vectors(_KEPT, tensors),
            Kept(_vectors(_BEFORE, tensors), meta.get("before")),
        )

    def save_partial(self, partial: PartialRound) -> None:
        tensors = {
            _UPDATE: torch.from_numpy(partial.weights),
            **sealed_tensors.prefixed(_OPTIMIZER, partial.optimizer),
            **_tensors(_SUM, partial.sums),
        }
        meta = {"round": partial.round, "model_in": partial.model_in, "steps": partial.steps}
        sealed_tensors.save(self.partial_path, tensors, meta)

    def partial(self, round: int, model_in: str) -> PartialRound | None:
        """Where this round was broken off, if it was."""
        if not self.partial_path.exists():
            return None
        tensors, meta = sealed_tensors.load(self.partial_path)
        if _UPDATE not in tensors or not {"round", "model_in", "steps"} <= meta.keys():
            raise _another_file(self.partial_path)
        if meta["round"] != round or meta["model_in"] != model_in:
            return None
        return PartialRound(
            round,
            model_in,
            meta["steps"],
            _vector(tensors[_UPDATE]),
            sealed_tensors.without_prefix(_OPTIMIZER, tensors),
            _vectors(_SUM, tensors),
        )


def _another_file(path: Path) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE, f"{path} cannot be used: it holds something else", "restore it from a backup"
    )


def _vector(tensor: Tensor) -> Vector:
    vector: Vector = np.array(tensor.numpy(), dtype=np.float32)
    return vector


def _tensors(prefix: str, vectors: Vectors) -> dict[str, Tensor]:
    return {prefix + name: torch.from_numpy(vector) for name, vector in vectors.items()}


def _vectors(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Vector]:
    return {name: _vector(tensor) for name, tensor in sealed_tensors.without_prefix(prefix, tensors).items()}
