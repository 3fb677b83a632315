"""The atom and bond types, and the largest molecule, that a federation's graphs can be made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from fedmol.errors import Exit, FedmolError


@dataclass(frozen=True)
class AtomType:
    """An element with its formal charge."""

    symbol: str
    charge: int = 0

    @property
    def label(self) -> str:
        """As it is written in data cards: `N`, `N+`, `O-`, `S+2`."""
        if not self.charge:
            return self.symbol
        size = abs(self.charge)
        return f"{self.symbol}{'+' if self.charge > 0 else '-'}{size if size > 1 else ''}"


Recipe = Literal["none", "parent"]  # by which molecules are standardised, see fedmol.chem.standardise
RECIPES: tuple[Recipe, ...] = get_args(Recipe)


@dataclass(frozen=True)
class Vocabulary:
    """Class indices of a federation's graphs: `atoms[k]` is atom class k, `bonds[k]` bond class k (0: no bond).

    It belongs to the federation: a graph coded with one vocabulary means nothing in another. Molecules are standardised
    by its `recipe` before they are coded.
    """

    name: str
    atoms: tuple[AtomType, ...]
    bonds: tuple[str, ...]
    max_atoms: int
    recipe: Recipe = "none"

    @property
    def keeps_charges(self) -> bool:
        """False if all atom types are neutral: then a charged atom is coded as the neutral one of its element."""
        return any(atom.charge for atom in self.atoms)

    @property
    def atom_labels(self) -> list[str]:
        return [atom.label for atom in self.atoms]

    def digest(self) -> str:
        """SHA-256 (hex) of the vocabulary, equal at two sites only if their graphs mean the same."""
        said = asdict(self)
        if self.recipe == "none":  # as it was before there were recipes
            del said["recipe"]
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _atoms(neutral: Sequence[str], charged: Sequence[tuple[str, int]] = ()) -> tuple[AtomType, ...]:
    return tuple(AtomType(symbol) for symbol in neutral) + tuple(AtomType(symbol, charge) for symbol, charge in charged)


_KEKULISED = ("none", "single", "double", "triple")

VOCABULARIES: dict[str, Vocabulary] = {
    vocabulary.name: vocabulary
    for vocabulary in (
        # DiGress's own: formal charges dropped, and an aromatic class that kekulised molecules never use.
        Vocabulary("qm9", _atoms("CNOF"), (*_KEKULISED, "aromatic"), 9),
        # The only four charged types that occur in QM9; with them each of its molecules is coded exactly.
        Vocabulary("qm9-charged", _atoms("CNOF", [("N", 1), ("O", -1), ("N", -1), ("C", -1)]), _KEKULISED, 9),
        Vocabulary(
            "drug",
            _atoms(["C", "N", "O", "F", "S", "Cl", "Br"], [("N", 1), ("O", -1), ("N", -1), ("S", 1), ("S", -1)]),
            _KEKULISED,
            42,
        ),
    )
}


def get(name: str, recipe: Recipe = "none") -> Vocabulary:
    """The vocabulary of that name, with that recipe.

    Raises:
        FedmolError: BAD_SETTINGS if there is none.
    """
    if name not in VOCABULARIES:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"there is no vocabulary {name!r}",
            f"set model.vocabulary to one of {', '.join(VOCABULARIES)}",
        )
    return replace(VOCABULARIES[name], recipe=recipe)
