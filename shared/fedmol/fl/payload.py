"""What travels between a site and the aggregator: one flat vector in named sections, and the bytes of each on the wire.

    payload = model_payload(2)
    model = payload.sections[0]
    decode(model, encode(model, np.float32([1.5, -2.0])))

The payload is agreed at joining by its digest, so that both ends know how long every section is before a byte of it
comes. A site is sent the sections themselves. It sends back its own model, and of every other section the change that
it makes to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmol.errors import Exit, FedmolError

MODEL, CONTROL = "model", "control"

Vector = NDArray[np.float32]
Sections = Mapping[str, Vector]  # one vector for each section of the payload

_WIRE_TYPES = {"float32": np.dtype("<f4")}


@dataclass(frozen=True)
class Section:
    """A part of the payload: `length` values, as `dtype` on the wire."""

    name: str
    length: int
    dtype: str = "float32"

    @property
    def wire_type(self) -> np.dtype[Any]:
        """What each value is on the wire."""
        return _WIRE_TYPES[self.dtype]

    @property
    def nbytes(self) -> int:
        """Length on the wire."""
        return self.length * self.wire_type.itemsize


@dataclass(frozen=True)
class Payload:
    sections: tuple[Section, ...]

    @property
    def by_name(self) -> dict[str, Section]:
        """The sections by their names."""
        return {section.name: section for section in self.sections}

    @property
    def digest(self) -> str:
        """SHA-256 of names, lengths and types: parties with the same digest can exchange payloads."""
        return hashlib.sha256(json.dumps([asdict(section) for section in self.sections]).encode()).hexdigest()

    @property
    def nbytes(self) -> int:
        """Length of all sections on the wire."""
        return sum(section.nbytes for section in self.sections)

    def begin(self, model: Vector) -> Sections:
        """The sections with which `model` begins: all others are 0."""
        return {
            section.name: model if section.name == MODEL else np.zeros(section.length, np.float32)
            for section in self.sections
        }


def model_payload(parameters: int) -> Payload:
    """A payload that is the model's weights and nothing else."""
    return Payload((Section(MODEL, parameters),))


def encode(section: Section, vector: Vector) -> memoryview:
    """The bytes of one section; no copy where the vector lies in memory as it travels.

    Raises:
        FedmolError: MODEL_DIFFERS when the vector has another length.
    """
    if vector.shape != (section.length,):
        raise _differs(section, f"{vector.size} values")
    return np.ascontiguousarray(vector, dtype=section.wire_type).view(np.uint8).data


def decode(section: Section, content: bytes | memoryview) -> Vector:
    """The vector that `encode` was given, as a read-only view where no conversion is needed.

    Raises:
        FedmolError: MODEL_DIFFERS when `content` has another length.
    """
    if len(content) != section.nbytes:
        raise _differs(section, f"{len(content)} bytes")
    return np.frombuffer(content, section.wire_type).astype(np.float32, copy=False)


def vector_digest(vector: Vector) -> str:
    """SHA-256 of a vector's values as little-endian float32: equal digests mean equal models."""
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").data).hexdigest()


def section_digests(sections: Sections) -> dict[str, str]:
    """The digest of each section."""
    return {name: vector_digest(vector) for name, vector in sections.items()}


def _differs(section: Section, what: str) -> FedmolError:
    return FedmolError(
        Exit.MODEL_DIFFERS,
        f"section {section.name!r} of the payload has {section.length} values of {section.dtype}, not {what}",
        "run the same version of fedmol with the same model settings everywhere",
    )
