"""A model's state as one vector, and the manifest that says what is where in it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedmol.errors import Exit, FedmolError


@dataclass(frozen=True)
class Manifest:
    """Names and shapes of a model's tensors in the order of the vector, which is that of the sorted names."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    @property
    def digest(self) -> str:
        """SHA-256 of names and shapes, hexadecimal: equal digests mean exchangeable vectors."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain lists, ready for `json.dumps`."""
        return {"names": list(self.names), "shapes": [list(shape) for shape in self.shapes]}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Manifest:
        return Manifest(tuple(document["names"]), tuple(tuple(shape) for shape in document["shapes"]))


def manifest(module: nn.Module) -> Manifest:
    """The manifest of `module`'s state."""
    state = module.state_dict()
    names = tuple(sorted(state))
    return Manifest(names, tuple(tuple(state[name].shape) for name in names))


def flatten(module: nn.Module) -> NDArray[np.float32]:
    """All of `module`'s state as one new float32 vector."""
    state = module.state_dict()
    return np.concatenate([state[name].detach().cpu().float().numpy().ravel() for name in sorted(state)])


def unflatten_into(module: nn.Module, vector: NDArray[np.float32], expected: Manifest) -> None:
    """Write `vector` into `module`'s state in place.

    Raises:
        FedmolError: MODEL_DIFFERS when the module is not the one that `expected` describes, or the length is wrong.
    """
    own = manifest(module)
    if own != expected or vector.shape != (expected.size,):
        raise FedmolError(
            Exit.MODEL_DIFFERS,
            f"a vector of {vector.shape} values for a model of {expected.size} does not fit this model of {own.size}",
            "run the same version of fedmol with the same model settings everywhere",
        )
    state = module.state_dict()
    with torch.no_grad():
        for name, tensor in tensors_of(vector, expected).items():
            state[name].copy_(tensor)


def tensors_of(vector: NDArray[np.float32], layout: Manifest) -> dict[str, Tensor]:
    """The tensors that `vector`, of `layout.size` values, is made of, as a copy of it."""
    values = torch.from_numpy(np.array(vector, dtype=np.float32))  # what OpenFL hands over is read-only
    parts = torch.split(values, [math.prod(shape) for shape in layout.shapes])
    return {name: part.view(shape) for name, shape, part in zip(layout.names, layout.shapes, parts, strict=True)}


def vector_of(tensors: Mapping[str, Tensor], layout: Manifest) -> NDArray[np.float32]:
    """The vector that `tensors_of` gives the tensors of, with 0 for those that are not there."""
    parts = {name: tensor.detach().cpu().float().numpy().ravel() for name, tensor in tensors.items()}
    empty = (
        (name, np.zeros(math.prod(shape), np.float32)) for name, shape in zip(layout.names, layout.shapes, strict=True)
    )
    return np.concatenate([parts.get(name, zeros) for name, zeros in empty])
