"""The file that people keep: a trained denoiser with everything that sampling needs."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from fedmol.chem.vocabulary import Vocabulary
from fedmol.diffusion import NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.files import open_regular, write_bytes
from fedmol.fl.payload import Vector, vector_digest
from fedmol.models import PRESETS, Denoiser
from fedmol.properties import Property
from fedmol.training.model_description import Description, Shares
from fedmol.training.parameter_vector import flatten
from fedmol.training.safetensors_header import Entry, read_header

_META, _CONTENT = "fedmol", "content"  # entries of the file's metadata: its description; the digest of all it holds
_LARGEST = 2 * 2**30  # bytes
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class TrainedModel:
    """A denoiser in evaluation mode and the noise model it is sampled with."""

    denoiser: Denoiser
    noise: NoiseModel
    preset: str
    vocabulary: Vocabulary
    meta: dict[str, Any]  # whatever else was saved along
    properties: tuple[Property, ...] = ()  # that it can be told, in the order of its conditions
    shares: Shares | None = None  # of `noise`, as they stand in the file; to be written again as they are

    @staticmethod
    def of(
        denoiser: Denoiser,
        *,
        preset: str,
        vocabulary: Vocabulary,
        noise: NoiseModel,
        meta: dict[str, Any],
        properties: tuple[Property, ...] = (),
    ) -> TrainedModel:
        """What `save_model` would write and `load_model` read: the shares of the noise model are rounded."""
        described = Description(preset, denoiser.config.layers, vocabulary, noise, meta, properties).encode()
        said, device = Description.decode(described), noise.size_distribution.device
        return TrainedModel(
            denoiser.eval(), said.noise.to(device), preset, vocabulary, said.meta, said.properties, said.shares
        )

    def to(self, device: torch.device) -> TrainedModel:
        """The same model, moved to `device` with its noise."""
        return replace(self, denoiser=self.denoiser.to(device), noise=self.noise.to(device))

    def save(self, path: Path) -> None:
        """Write the model so that it is read as it is: weights that 16 bits hold exactly take no more."""
        save_model(
            path,
            self.denoiser,
            preset=self.preset,
            vocabulary=self.vocabulary,
            noise=self.noise,
            meta=self.meta,
            shares=self.shares,
            precision=_narrowest(self.denoiser),
        )


def save_model(
    path: Path,
    denoiser: Denoiser,
    *,
    preset: str,
    vocabulary: Vocabulary,
    noise: NoiseModel,
    meta: dict[str, Any] | None = None,
    shares: Shares | None = None,
    precision: torch.dtype = torch.float32,
    properties: tuple[Property, ...] = (),
) -> None:
    """Write the model to one .safetensors file; `meta` is anything JSON can hold.

    `properties` are those that the denoiser was built for, in their order.

    The weights are rounded to `precision` in the file; a model that is read computes as every other. The shares of the
    noise model are rounded, too, see `fedmol.training.model_description`: no sums of the sites' counts are in it.
    Those of a model that was read are given as `shares`, for rounding them once more would change them.

    A federation's model names the digest of its weights in `meta`; any other file gets one of its content.

    Raises:
        ValueError: the properties are not as many as the denoiser was built for.
    """
    if len(properties) != denoiser.properties:
        raise ValueError(f"a model of {denoiser.properties} properties has not the {len(properties)} that are named")
    description = Description(
        preset=preset,
        layers=denoiser.config.layers,
        vocabulary=vocabulary,
        noise=noise,
        meta=meta or {},
        properties=properties,
        shares=shares,
    )
    state = denoiser.state_dict()
    weights = {name: state[name].to(precision).cpu().contiguous() for name in sorted(state)}
    said = description.encode()
    file = to_bytes(weights, {_META: said})
    if precision != torch.float32 or "digest" not in description.meta:
        digests = {name: _digest(tensor) for name, tensor in weights.items()}
        file = _with_content(file, _content(said, digests))
    write_bytes(path, file, 0o600)


def load_model(path: Path) -> TrainedModel:
    """The model in `path`, ready to sample. Takes no more memory than such a model does, whatever the file says.

    Raises:
        FedmolError: BAD_MODEL when the file is missing, damaged, or not a model of this version.
    """
    try:
        with open_regular(path, _LARGEST, follow=True) as file:
            header = read_header(file, os.fstat(file.fileno()).st_size)
            said = Description.decode(header.metadata.get(_META))
            config = replace(PRESETS[said.preset], layers=said.layers)
            with torch.device("meta"):  # takes no memory
                denoiser = Denoiser(config, *said.vocabulary.sizes, properties=len(said.properties))
            shapes = {name: tuple(tensor.shape) for name, tensor in denoiser.state_dict().items()}
            entries = header.entries(shapes)
            denoiser = denoiser.to_empty(device="cpu")
            digests = _read_weights(file, entries, denoiser.state_dict())
        if _CONTENT in header.metadata and header.metadata[_CONTENT] != _content(header.metadata[_META], digests):
            raise ValueError("its content is not that whose digest it names")
        if all(entry.dtype == "F32" for entry in entries):  # rounding the weights changes their digest
            _check_digest(flatten(denoiser), said.meta)
        return TrainedModel(
            denoiser.eval(), said.noise, said.preset, said.vocabulary, said.meta, said.properties, said.shares
        )
    except FileNotFoundError:
        cure = "name a model that training wrote, such as model.safetensors in the folder of a run"
        raise FedmolError(Exit.BAD_MODEL, f"there is no file {path}", cure) from None
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    except ValueError as error:
        raise _unusable(path, str(error)) from None


def _narrowest(denoiser: Denoiser) -> torch.dtype:
    """The smallest kind of number that holds all weights as they are."""
    weights = list(denoiser.state_dict().values())
    for kind in (torch.float16, torch.bfloat16):
        if all(torch.equal(weight.to(kind).to(weight.dtype), weight) for weight in weights):
            return kind
    return torch.float32


def _read_weights(file: BinaryIO, entries: list[Entry], state: dict[str, Tensor]) -> dict[str, str]:
    """Fill the tensors of `state` from the file, one after another; returns the digest of each."""
    digests = {}
    for entry in entries:
        content = bytearray(entry.end - entry.start)
        if file.readinto(content) != len(content):  # type: ignore[attr-defined]
            raise ValueError("it ends before its tensors do")
        digests[entry.name] = hashlib.sha256(content).hexdigest()
        tensor = torch.frombuffer(content, dtype=_DTYPES[entry.dtype])
        if not tensor.isfinite().all():
            raise ValueError(f"the tensor {entry.name!r} has weights that are not finite numbers")
        state[entry.name].copy_(tensor.view(state[entry.name].shape))
    return digests


def _content(description: str, digests: dict[str, str]) -> str:
    """SHA-256 of the description and of every tensor as it lies in the file."""
    return hashlib.sha256(json.dumps([description, sorted(digests.items())]).encode()).hexdigest()


def _with_content(file: bytes, digest: str) -> bytes:
    """The file with one more entry of its metadata, the first: safetensors would write several in any order."""
    begin, end = b'{"__metadata__":{', 8 + int.from_bytes(file[:8], "little")
    header = file[8:end].replace(begin, begin + f'"{_CONTENT}":"{digest}",'.encode(), 1).rstrip()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + file[end:]


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().data).hexdigest()


def _check_digest(weights: Vector, meta: dict[str, Any]) -> None:
    """A federation's model names the digest of its weights."""
    if "digest" in meta and meta["digest"] != vector_digest(weights):
        raise ValueError("its weights are not those whose digest it names")


def _unusable(path: Path, reason: str) -> FedmolError:
    return FedmolError(
        Exit.BAD_MODEL, f"{path} is not a usable model: {reason}", "name a model.safetensors written by this version"
    )
