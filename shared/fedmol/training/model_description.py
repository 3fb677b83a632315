"""What a model file says of its model, beside the weights: closed, typed, and bounded before anything is built."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from fedmol.chem.vocabulary import FORMER, LARGEST, MOST_TYPES, RECIPES, VOCABULARIES, Vocabulary
from fedmol.diffusion import Census, NoiseModel
from fedmol.documents import DocumentError, parse_json
from fedmol.models import PRESETS
from fedmol.properties import MOST_PROPERTIES, Property

# 1 has the sums of all sites' counts, 1 and 2 only the vocabulary's name, and 4 alone has properties. A model without
# properties is written in format 3, which earlier versions read.
FORMAT, _WITHOUT_PROPERTIES = 4, 3
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
_ENTRIES = {"format", "preset", "layers", "vocabulary", "noise_steps", "meta"}
_SIZES = "atom_types", "bond_types", "max_atoms"  # of formats 1 and 2

Shares = Mapping[str, list[float]]  # of the classes of atoms, bonds and sizes


@dataclass(frozen=True)
class Description:
    """What is needed to build the model and to sample from it."""

    preset: str
    layers: int
    vocabulary: Vocabulary
    noise: NoiseModel
    meta: dict[str, Any]  # whatever else was saved along
    properties: tuple[Property, ...] = ()  # that it can be told, in the order of its conditions
    shares: Shares | None = None  # as a file has them; None: those of `noise`, rounded

    def encode(self) -> str:
        document = {
            "format": FORMAT if self.properties else _WITHOUT_PROPERTIES,
            "preset": self.preset,
            "layers": self.layers,
            "vocabulary": _written(self.vocabulary),
            "noise_steps": self.noise.steps,
            "marginals": self.shares or _rounded(self.noise),
            "meta": self.meta,
        }
        if self.properties:
            document["properties"] = [asdict(prop) for prop in self.properties]
        return json.dumps(document, sort_keys=True)

    @staticmethod
    def decode(text: Any) -> Description:
        """Raises DocumentError, naming the entry that is wrong."""
        said = parse_json(text.encode()) if isinstance(text, str) else None
        if not isinstance(said, dict):
            raise DocumentError("it does not describe a model of fedmol")
        number = _format(said)
        classes = "census" if number == 1 else "marginals"
        more = set(_SIZES) if number < _WITHOUT_PROPERTIES else {"properties"} if number == FORMAT else set()
        _check_names("the description", said, _ENTRIES | {classes} | more)
        preset = _text(said, "preset")
        if preset not in PRESETS:
            raise DocumentError(f"there is no model preset {preset!r}")
        vocabulary = _named(said) if number < _WITHOUT_PROPERTIES else _vocabulary(said["vocabulary"])
        layers = _integer(said, "layers", 1, MOST_LAYERS)
        steps = _integer(said, "noise_steps", 1, MOST_NOISE_STEPS)
        if not isinstance(said["meta"], dict):
            raise DocumentError("meta is not a mapping")
        atoms, bonds, largest = vocabulary.sizes
        lengths = dict(zip(_COUNTS, (atoms, bonds, largest + 1), strict=True))
        if number == 1:
            noise, shares = NoiseModel.from_census(_census(said[classes], lengths), steps), None
        else:
            noise, shares = _noise(said[classes], lengths, steps), said[classes]
        properties = _properties(said["properties"]) if number == FORMAT else ()
        return Description(preset, layers, vocabulary, noise, said["meta"], properties, shares)


def _format(said: Mapping[str, Any]) -> int:
    number = said.get("format")
    if type(number) is int and number > FORMAT:
        raise DocumentError(f"its format is {number}, and this version of fedmol reads formats up to {FORMAT}")
    return _integer(said, "format", 1, FORMAT)


def _written(vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "name": vocabulary.name,
        "atoms": vocabulary.atom_labels,
        "bonds": list(vocabulary.bonds),
        "max_atoms": vocabulary.max_atoms,
        "recipe": vocabulary.recipe,
        "digest": vocabulary.digest(),
    }


def _vocabulary(said: Any) -> Vocabulary:
    """The vocabulary that the file holds."""
    _check_names("the vocabulary", said, {"name", "atoms", "bonds", "max_atoms", "recipe", "digest"})
    name, recipe = _text(said, "name"), said["recipe"]
    if recipe not in RECIPES:
        raise DocumentError(f"there is no recipe {str(recipe)[:40]!r}")
    for entry in ("atoms", "bonds"):
        labels = said[entry]
        if (
            not isinstance(labels, list)
            or len(labels) > MOST_TYPES
            or not all(isinstance(label, str) for label in labels)
        ):
            raise DocumentError(f"the {entry} of the vocabulary are not a list of labels")
    most = _integer(said, "max_atoms", 2, LARGEST)
    try:
        vocabulary = Vocabulary.of(name, said["atoms"], most, said["bonds"], recipe)
    except ValueError as error:
        raise DocumentError(f"the vocabulary {name}: {error}") from None
    if said["digest"] != vocabulary.digest():
        raise DocumentError(f"the vocabulary {name} is not the one whose digest it names")
    return vocabulary


def _named(said: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that formats 1 and 2 name, as it was at their time."""
    name = _text(said, "vocabulary")
    vocabulary = FORMER.get(name, VOCABULARIES.get(name))
    if vocabulary is None:
        raise DocumentError(f"there is no vocabulary {name!r}")
    for entry, size in zip(_SIZES, vocabulary.sizes, strict=True):
        if type(said[entry]) is not int or said[entry] != size:
            raise DocumentError(f"{entry} is not {size}, as in the vocabulary {name}")
    return vocabulary


def _properties(said: Any) -> tuple[Property, ...]:
    """The properties that the file says its model can be told."""
    if not isinstance(said, list) or not 1 <= len(said) <= MOST_PROPERTIES:
        raise DocumentError(f"properties is no list of 1 to {MOST_PROPERTIES}")
    properties = tuple(map(_property, said))
    if len({prop.name for prop in properties}) < len(properties):
        raise DocumentError("properties has a name twice")
    return properties


def _property(said: Any) -> Property:
    _check_names("a property", said, {field.name for field in fields(Property)})
    name, unit = _text(said, "name"), _text(said, "unit")
    numbers = said["mean"], said["scale"]
    if not all(type(number) in (int, float) for number in numbers):
        raise DocumentError(f"mean and scale of the property {name!r} are no numbers")
    try:
        return Property(name, unit, *map(float, numbers))
    except (ValueError, OverflowError) as error:
        raise DocumentError(f"properties: {error}") from None


def _rounded(noise: NoiseModel) -> Shares:
    shares = noise.atom_marginal, noise.bond_marginal, noise.size_distribution
    return {name: _in_digits(share) for name, share in zip(_COUNTS, shares, strict=True)}


def _in_digits(shares: Tensor) -> list[float]:
    return [float(f"{share:.{DIGITS - 1}e}") for share in shares.tolist()]


def _check_names(what: str, said: Any, names: set[str]) -> None:
    if not isinstance(said, dict) or said.keys() != names:
        wrong = sorted(names ^ said.keys())[0] if isinstance(said, dict) else "everything"
        raise DocumentError(f"{what} lacks, or has and should not, {wrong[:80]!r}")


def _integer(said: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = said.get(name)
    if type(value) is not int or not least <= value <= most:
        raise DocumentError(f"{name} is not a whole number from {least} to {most:,}")
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
        if (
            not all(type(value) is int and 0 <= value <= MOST_MOLECULES for value in values)
            or not 0 < sum(values) < 2**60
        ):
            raise DocumentError(f"the counts of {name} are not counts")
    if said["sizes"][0]:
        raise DocumentError("it counts molecules without atoms")
    return Census.from_json(said)


def _noise(said: Any, lengths: Mapping[str, int], steps: int) -> NoiseModel:
    _check_names("marginals", said, set(_COUNTS))
    shares = {}
    for name in _COUNTS:
        values = _list(said, name, lengths)
        if not all(type(value) in (int, float) and 0 <= value <= 1 for value in values):
            raise DocumentError(f"the shares of {name} are not shares")
        if abs(math.fsum(values) - 1) > len(values) * 10.0**-DIGITS:
            raise DocumentError(f"the shares of {name} do not add up to 1")
        shares[name] = torch.tensor(values, dtype=torch.float64)
    if said["sizes"][0]:
        raise DocumentError("it gives molecules without atoms a share")
    atoms, bonds, numbers = (shares[name] / shares[name].sum() for name in _COUNTS)
    return NoiseModel.from_marginals(atoms, bonds, numbers, steps)
