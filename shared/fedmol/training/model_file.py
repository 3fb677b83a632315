"""The file that people keep: a trained denoiser with everything that sampling needs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.files import write_bytes
from fedmol.fl.payload import Vector, vector_digest
from fedmol.network import Denoiser, build
from fedmol.training.flat import flatten

FORMAT = 1
_META = "fedmol"  # entry of the file's metadata


@dataclass(frozen=True)
class TrainedModel:
    """A denoiser in evaluation mode and the noise model it was trained with."""

    denoiser: Denoiser
    noise: NoiseModel
    census: Census
    preset: str
    vocabulary_name: str
    meta: dict[str, Any]  # whatever else was saved along

    def to(self, device: torch.device) -> TrainedModel:
        """The same model, moved to `device` with its noise; the census stays on the host."""
        return replace(self, denoiser=self.denoiser.to(device), noise=self.noise.to(device))


def save_model(
    path: Path,
    denoiser: Denoiser,
    *,
    preset: str,
    vocabulary_name: str,
    census: Census,
    noise_steps: int = 500,
    meta: dict[str, Any] | None = None,
    precision: torch.dtype = torch.float32,
) -> None:
    """Write the model to one .safetensors file; `meta` is anything JSON can hold.

    The weights are rounded to `precision` in the file; a model that is read computes as every other.
    """
    description = {
        "format": FORMAT,
        "preset": preset,
        "layers": denoiser.config.layers,
        "atom_types": denoiser.atom_types,
        "bond_types": denoiser.bond_types,
        "max_atoms": denoiser.max_atoms,
        "vocabulary": vocabulary_name,
        "noise_steps": noise_steps,
        "census": census.to_json(),
        "meta": meta or {},
    }
    state = denoiser.state_dict()
    weights = {name: state[name].to(precision).cpu().contiguous() for name in sorted(state)}
    write_bytes(path, to_bytes(weights, {_META: json.dumps(description, sort_keys=True)}))


def load_model(path: Path) -> TrainedModel:
    """The model in `path`, ready to sample.

    Raises:
        FedmolError: BAD_MODEL when the file is missing, damaged, or not a model of this version.
    """
    try:
        with safe_open(path, "pt") as file:
            described = json.loads(file.metadata()[_META])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        denoiser = build(
            described["preset"],
            described["atom_types"],
            described["bond_types"],
            described["max_atoms"],
            seed=0,
            layers=described["layers"],
        )
        denoiser.load_state_dict(tensors)
        _check_digest(tensors, flatten(denoiser), described["meta"])
        census = Census.from_json(described["census"])
        noise = NoiseModel.from_census(census, described["noise_steps"])
        return TrainedModel(
            denoiser.eval(), noise, census, described["preset"], described["vocabulary"], described["meta"]
        )
    except FedmolError as error:
        raise _unusable(path, error.message) from None
    except (OSError, SafetensorError, LookupError, TypeError, RuntimeError, ValueError) as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from None


def _check_digest(tensors: dict[str, Tensor], weights: Vector, meta: dict[str, Any]) -> None:
    """A federation's model names the digest of its weights, which rounding them in the file changes."""
    exact = all(tensor.dtype == torch.float32 for tensor in tensors.values())
    if exact and "digest" in meta and meta["digest"] != vector_digest(weights):
        raise ValueError("its weights are not those whose digest it names")


def _unusable(path: Path, reason: str) -> FedmolError:
    return FedmolError(
        Exit.BAD_MODEL, f"{path} is not a usable model: {reason}", "name a model.safetensors written by this version"
    )
