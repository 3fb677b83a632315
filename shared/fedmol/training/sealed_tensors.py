"""Named tensors and JSON in one sealed file, see `fedmol.sealed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmol import sealed
from fedmol.training.optimizers import Optimizers

_LARGEST = 16 * 2**30  # bytes


def save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write `tensors` and `meta` (anything JSON can hold) to `path`, whole or not at all."""
    sealed.save(path, {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}, meta)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON that `save` wrote.

    Raises:
        FedmolError: STATE_UNUSABLE when the file is missing, damaged or not one of ours.
    """
    arrays, meta = sealed.load(path, _LARGEST)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, meta


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under longer names, to lie in one file with others."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of the tensors that `prefixed` named, under their own names again."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: Optimizers) -> dict[str, Tensor]:
    """The optimiser's state as named tensors, ready for `save`: part.parameter.name."""
    return {
        f"{part}.{index}.{name}": torch.as_tensor(value)
        for part, stepper in enumerate(optimizer.parts)
        for index, entry in stepper.state_dict()["state"].items()
        for name, value in entry.items()
    }


def load_optimizer_tensors(optimizer: Optimizers, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave; learning rates and the like stay as they are."""
    for part, stepper in enumerate(optimizer.parts):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in without_prefix(f"{part}.", tensors).items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value.clone()
        stepper.load_state_dict({**stepper.state_dict(), "state": state})
