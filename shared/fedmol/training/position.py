"""Where a training stands: weights, optimiser and step in one file, to go on from after a break."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from fedmol.training import checkpoint
from fedmol.training.checkpoint import load_optimizer_tensors, optimizer_tensors

_WEIGHT, _OPTIMIZER = "weight.", "optimizer."


def save_position(path: Path, denoiser: nn.Module, optimizer: Optimizer, steps: int, meta: dict[str, Any]) -> None:
    """Keep the state after `steps` steps; `meta` says of which training it is."""
    tensors = {_WEIGHT + name: tensor for name, tensor in denoiser.state_dict().items()}
    tensors |= {_OPTIMIZER + name: tensor for name, tensor in optimizer_tensors(optimizer).items()}
    checkpoint.save(path, tensors, {"steps": steps, "training": meta})


def load_position(path: Path, denoiser: nn.Module, optimizer: Optimizer, meta: dict[str, Any]) -> int:
    """Put a kept state back and return its steps; 0, and nothing changed, without a file or for another training."""
    if not path.exists():
        return 0
    tensors, described = checkpoint.load(path)
    if described["training"] != meta:
        return 0
    denoiser.load_state_dict({k.removeprefix(_WEIGHT): v for k, v in tensors.items() if k.startswith(_WEIGHT)})
    load_optimizer_tensors(
        optimizer, {k.removeprefix(_OPTIMIZER): v for k, v in tensors.items() if k.startswith(_OPTIMIZER)}
    )
    steps: int = described["steps"]
    return steps
