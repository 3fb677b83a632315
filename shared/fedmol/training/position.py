"""Where a training stands: weights, optimiser and step in one file, to go on from after a break."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Generator, nn

from fedmol.diffusion import NoiseModel
from fedmol.graphs import Graphs
from fedmol.training import checkpoint
from fedmol.training.checkpoint import load_optimizer_tensors, optimizer_tensors, prefixed, without_prefix
from fedmol.training.config import TrainingConfig
from fedmol.training.loop import StepReport, train
from fedmol.training.optimizers import Optimizers, build_optimizer

_KEEP_EVERY = 60.0  # seconds of training that a break may cost
_WEIGHT, _OPTIMIZER = "weight.", "optimizer."


def save_position(path: Path, denoiser: nn.Module, optimizer: Optimizers, steps: int, meta: dict[str, Any]) -> None:
    """Keep the state after `steps` steps; `meta` says of which training it is."""
    tensors = prefixed(_WEIGHT, denoiser.state_dict()) | prefixed(_OPTIMIZER, optimizer_tensors(optimizer))
    checkpoint.save(path, tensors, {"steps": steps, "training": meta})


def load_position(path: Path, denoiser: nn.Module, optimizer: Optimizers, meta: dict[str, Any]) -> int:
    """Put a kept state back and return its steps; 0, and nothing changed, without a file or for another training."""
    if not path.exists():
        return 0
    tensors, described = checkpoint.load(path)
    if described["training"] != meta:
        return 0
    denoiser.load_state_dict(without_prefix(_WEIGHT, tensors))
    load_optimizer_tensors(optimizer, without_prefix(_OPTIMIZER, tensors))
    steps: int = described["steps"]
    return steps


def train_to_the_end(
    kept: Path,
    meta: dict[str, Any],
    denoiser: nn.Module,
    noise: NoiseModel,
    graphs: Graphs,
    *,
    total_steps: int,
    config: TrainingConfig,
    generator: Generator,
    on_step: Callable[[StepReport], None],
) -> None:
    """All steps that are left of a training, whose position is kept in `kept` once a minute while it lasts.

    Raises:
        FedmolError: DIVERGED, see `fedmol.training.loop.train`; STATE_UNUSABLE when `kept` is damaged.
    """
    optimizer = build_optimizer(denoiser, config)
    first = load_position(kept, denoiser, optimizer, meta)
    saved = time.monotonic()

    def keep(report: StepReport) -> None:
        nonlocal saved
        on_step(report)
        if time.monotonic() - saved > _KEEP_EVERY:
            save_position(kept, denoiser, optimizer, report.step + 1, meta)
            saved = time.monotonic()

    train(
        denoiser,
        optimizer,
        noise,
        graphs,
        first_step=first,
        steps=total_steps - first,
        total_steps=total_steps,
        config=config,
        generator=generator,
        on_step=keep,
    )
