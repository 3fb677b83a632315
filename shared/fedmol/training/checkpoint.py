"""Named tensors and JSON in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from fedmol.errors import Exit, FedmolError
from fedmol.files import write_bytes
from fedmol.training.optimizers import Optimizers

META = "fedmol"


def save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write `tensors` and `meta` (anything JSON can hold) to `path`, whole or not at all."""
    contiguous = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    write_bytes(path, to_bytes(contiguous, {META: json.dumps(meta, sort_keys=True)}))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON that `save` wrote.

    Raises:
        FedmolError: STATE_UNUSABLE when the file is missing, damaged or not one of ours.
    """
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {})[META])
            return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{path} cannot be read as a checkpoint: {error}",
            "take an earlier checkpoint, or start anew without it",
        ) from None


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
        for part, one in enumerate(optimizer.parts)
        for index, entry in one.state_dict()["state"].items()
        for name, value in entry.items()
    }


def load_optimizer_tensors(optimizer: Optimizers, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave; learning rates and the like stay as they are."""
    for part, one in enumerate(optimizer.parts):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in without_prefix(f"{part}.", tensors).items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value.clone()
        one.load_state_dict({**one.state_dict(), "state": state})
