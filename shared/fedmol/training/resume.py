"""Where a training stands: weights, optimiser and step in one file, to go on from after a break."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Generator

from fedmol.training import sealed_tensors
from fedmol.training.distributed import Trainer
from fedmol.training.loop import StepReport
from fedmol.training.optimizers import build_optimizer
from fedmol.training.sealed_tensors import load_optimizer_tensors, optimizer_tensors, prefixed, without_prefix

_KEEP_EVERY = 60.0  # seconds of training that a break may cost
_WEIGHT, _OPTIMIZER = "weight.", "optimizer."


class ResumePoint:
    """How far the training `meta` of `trainer` has come, kept in `path` once a minute while it goes on.

    Where `path` holds an earlier position of this very training, that one is taken up. Without a path nothing is kept.

    Raises:
        FedmolError: STATE_UNUSABLE when the file is damaged.
    """

    def __init__(self, path: Path | None, meta: dict[str, Any], trainer: Trainer) -> None:
        self.path, self.meta, self.trainer, self.steps = path, meta, trainer, 0
        self._optimizer = build_optimizer(trainer.denoiser, trainer.config)
        if path is not None and path.exists():
            self._load(path)

    def train_to_the_end(self, total_steps: int, generator: Generator, on_step: Callable[[StepReport], None]) -> None:
        """All steps that are left.

        Raises:
            FedmolError: DIVERGED or PROCESS_LOST, see `DistributedTraining.train`.
        """
        saved = time.monotonic()

        def keep(report: StepReport) -> None:
            nonlocal saved
            self.steps = report.step + 1
            on_step(report)
            if self.path is not None and time.monotonic() - saved > _KEEP_EVERY:
                self._save(self.path)
                saved = time.monotonic()

        self.trainer.train(
            self._optimizer,
            first_step=self.steps,
            steps=total_steps - self.steps,
            total_steps=total_steps,
            generator=generator,
            on_step=keep,
        )

    def _save(self, path: Path) -> None:
        weights, state = self.trainer.denoiser.state_dict(), optimizer_tensors(self._optimizer)
        tensors = prefixed(_WEIGHT, weights) | prefixed(_OPTIMIZER, state)
        sealed_tensors.save(path, tensors, {"steps": self.steps, "training": self.meta})

    def _load(self, path: Path) -> None:
        tensors, described = sealed_tensors.load(path)
        if described["training"] == self.meta:
            self.trainer.denoiser.load_state_dict(without_prefix(_WEIGHT, tensors))
            load_optimizer_tensors(self._optimizer, without_prefix(_OPTIMIZER, tensors))
            self.steps = described["steps"]
