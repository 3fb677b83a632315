"""What a model file says of its model, beside the weights: closed, typed, and bounded before anything is built."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedmol.chem import vocabulary as vocabularies
from fedmol.diffusion import Census, NoiseModel
from fedmol.documents import DocumentError, parse_json
from fedmol.network import PRESETS

FORMAT = 2
MOST_LAYERS = 64
MOST_NOISE_STEPS = 10_000
MOST_MOLECULES = 2**53  # or atoms, or bonds, that a census counts
# Significant decimal digits of a share of the noise model in a file. From exact shares c / N anybody finds the sums: a
# common denominator N is the only number of its size that makes every c whole. A share of four digits is known to a
# relative error of 0.5 to 5 in 10^4, so that a class whose count is above some thousands leaves every N possible, and
# the others leave whole ranges of N, and all their multiples. What it does not hide is a small count, from somebody who
# knows N from elsewhere: that is what `data.least_count` is for. A share that is not zero never becomes zero: its class
# stays possible.
DIGITS = 4

_COUNTS = "atoms", "bonds", "sizes"
_ENTRIES = {
    "format", "preset", "layers", "atom_types", "bond_types", "max_atoms", "vocabulary", "noise_steps", "meta"
}  # fmt: skip


@dataclass(frozen=True)
class Description:
    """What is needed to build the model and to sample from it."""

    preset: str
    layers: int
    vocabulary: str
    atom_types: int
    bond_types: int
    max_atoms: int
    noise: NoiseModel
    meta: dict[str, Any]  # whatever else was saved along

    def encode(self) -> str:
        shares = self.noise.atom_marginal, self.noise.bond_marginal, self.noise.size_distribution
        document = {
            "format": FORMAT,
            "preset": self.preset,
            "layers": self.layers,
            "atom_types": self.atom_types,
            "bond_types": self.bond_types,
            "max_atoms": self.max_atoms,
            "vocabulary": self.vocabulary,
            "noise_steps": self.noise.steps,
            "marginals": {name: _rounded(share) for name, share in zip(_COUNTS, shares, strict=True)},
            "meta": self.meta,
        }
        return json.dumps(document, sort_keys=True)

    @staticmethod
    def decode(text: Any) -> Description:
        """Raises DocumentError, naming the entry that is wrong."""
        said = parse_json(text.encode()) if isinstance(text, str) else None
        if not isinstance(said, dict):
            raise DocumentError("it does not describe a model of fedmol")
        number = _integer(said, "format", 1, FORMAT)
        classes = "census" if number == 1 else "marginals"  # format 1 has the sums of all sites' counts
        _check_names("the description", said, _ENTRIES | {classes})
        preset, vocabulary = _text(said, "preset"), _text(said, "vocabulary")
        if preset not in PRESETS:
            raise DocumentError(f"there is no model preset {preset!r}")
        if vocabulary not in vocabularies.VOCABULARIES:
            raise DocumentError(f"there is no vocabulary {vocabulary!r}")
        types = vocabularies.VOCABULARIES[vocabulary]
        sizes = {"atom_types": len(types.atoms), "bond_types": len(types.bonds), "max_atoms": types.max_atoms}
        for name, size in sizes.items():
            if type(said[name]) is not int or said[name] != size:
                raise DocumentError(f"{name} is not {size}, as in the vocabulary {vocabulary}")
        layers = _integer(said, "layers", 1, MOST_LAYERS)
        steps = _integer(said, "noise_steps", 1, MOST_NOISE_STEPS)
        if not isinstance(said["meta"], dict):
            raise DocumentError("meta is no mapping")
        lengths = dict(zip(_COUNTS, (sizes["atom_types"], sizes["bond_types"], sizes["max_atoms"] + 1), strict=True))
        if number == 1:
            noise = NoiseModel.from_census(_census(said[classes], lengths), steps)
        else:
            noise = _noise(said[classes], lengths, steps)
        return Description(preset, layers, vocabulary, noise=noise, meta=said["meta"], **sizes)


def _rounded(shares: Tensor) -> list[float]:
    return [float(f"{share:.{DIGITS - 1}e}") for share in shares.tolist()]


def _check_names(what: str, said: Any, names: set[str]) -> None:
    if not isinstance(said, dict) or said.keys() != names:
        wrong = sorted(names ^ said.keys())[0] if isinstance(said, dict) else "everything"
        raise DocumentError(f"{what} lacks, or has and should not, {wrong[:80]!r}")


def _integer(said: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = said.get(name)
    if type(value) is not int or not least <= value <= most:
        raise DocumentError(f"{name} is no whole number from {least} to {most:,}")
    return value


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said[name]
    if not isinstance(value, str) or len(value) > 64:
        raise DocumentError(f"{name} is no name")
    return value


def _list(said: Any, name: str, lengths: Mapping[str, int]) -> list[Any]:
    values = said[name]
    if not isinstance(values, list) or len(values) != lengths[name]:
        raise DocumentError(f"{name} does not have {lengths[name]} classes, as in the vocabulary")
    return values


def _census(said: Any, lengths: Mapping[str, int]) -> Census:
    _check_names("census", said, set(_COUNTS))
    for name in _COUNTS:
        values = _list(said, name, lengths)
        if not all(type(one) is int and 0 <= one <= MOST_MOLECULES for one in values) or not 0 < sum(values) < 2**60:
            raise DocumentError(f"the counts of {name} are no counts")
    if said["sizes"][0]:
        raise DocumentError("it counts molecules without atoms")
    return Census.from_json(said)


def _noise(said: Any, lengths: Mapping[str, int], steps: int) -> NoiseModel:
    _check_names("marginals", said, set(_COUNTS))
    shares = {}
    for name in _COUNTS:
        values = _list(said, name, lengths)
        if not all(type(one) in (int, float) and 0 <= one <= 1 for one in values):
            raise DocumentError(f"the shares of {name} are no shares")
        if abs(math.fsum(values) - 1) > len(values) * 10.0**-DIGITS:
            raise DocumentError(f"the shares of {name} do not add up to 1")
        shares[name] = torch.tensor(values, dtype=torch.float64)
    if said["sizes"][0]:
        raise DocumentError("it gives molecules without atoms a share")
    atoms, bonds, numbers = (shares[name] / shares[name].sum() for name in _COUNTS)
    return NoiseModel.from_marginals(atoms, bonds, numbers, steps)
