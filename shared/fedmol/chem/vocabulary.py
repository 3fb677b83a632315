"""The atom and bond types, and the largest molecule, that a federation's graphs can be made of."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from fedmol.errors import Exit, FedmolError

# By atomic number. Hydrogen is left out of graphs.
_ELEMENTS = (
    " He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y"
    " Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re"
    " Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds"
    " Rg Cn Nh Fl Mc Lv Ts Og "
)
MOST_TYPES = 50  # of atoms: with them all a message of settings has room for their labels
LARGEST = 500  # heavy atoms: a graph has as many bonds as their square
_MOST_CHARGE = 4
_LABEL = re.compile(r"([A-Z][a-z]?)(?:([+-])([1-9]?))?")


@dataclass(frozen=True)
class AtomType:
    """An element with its formal charge."""

    symbol: str
    charge: int = 0

    @property
    def label(self) -> str:
        """As it is written in settings and data cards: `N`, `N+`, `O-`, `S+2`."""
        if not self.charge:
            return self.symbol
        size = abs(self.charge)
        return f"{self.symbol}{'+' if self.charge > 0 else '-'}{size if size > 1 else ''}"

    @property
    def can_be_coded(self) -> bool:
        """False for what stands for many atoms, for hydrogen, which graphs leave out, and for extreme charges."""
        return f" {self.symbol} " in _ELEMENTS and abs(self.charge) <= _MOST_CHARGE

    @classmethod
    def of(cls, label: str) -> AtomType:
        """The type with that label.

        Raises:
            ValueError: there is none.

        Example:
            >>> AtomType.of("S+2")
            AtomType(symbol='S', charge=2)
        """
        match = _LABEL.fullmatch(label)
        kind = cls("") if match is None else cls(match[1], int(f"{match[2]}{match[3] or 1}") if match[2] else 0)
        if kind.label != label or not kind.can_be_coded:
            form = f"write an element and a charge up to {_MOST_CHARGE}, such as C, N+, O- or S+2"
            raise ValueError(
                f"{label[:20]!r} is not an atom type: {'graphs leave hydrogens out' if kind.symbol == 'H' else form}"
            )
        return kind


Recipe = Literal["none", "parent"]  # by which molecules are standardised, see fedmol.chem.standardise
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
_KEKULISED = ("none", "single", "double", "triple")
_BONDS = _KEKULISED, (*_KEKULISED, "aromatic")


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

    def __post_init__(self) -> None:
        if not all(isinstance(kind, AtomType) for kind in self.atoms):
            raise TypeError("the atoms of a vocabulary are atom types: Vocabulary.of makes one of their labels")

    @classmethod
    def of(
        cls, name: str, atoms: Sequence[str], max_atoms: int, bonds: Sequence[str] = _KEKULISED, recipe: Recipe = "none"
    ) -> Vocabulary:
        """The vocabulary of these atom types, by their labels.

        Raises:
            ValueError: what is wrong with it.

        Example:
            >>> Vocabulary.of("ours", ["C", "N", "N+"], max_atoms=12).keeps_charges
            True
        """
        types = tuple(map(AtomType.of, atoms))
        twice = [kind.label for kind in types if types.count(kind) > 1]
        if twice:
            raise ValueError(f"the atom type {twice[0]} is there twice")
        if not 1 <= len(types) <= MOST_TYPES:
            raise ValueError(f"it has {len(types)} atom types: give 1 to {MOST_TYPES}")
        if not 2 <= max_atoms <= LARGEST:
            raise ValueError(f"max_atoms is {max_atoms}: give 2 to {LARGEST} heavy atoms")
        if tuple(bonds) not in _BONDS:
            raise ValueError(f"its bonds are not {', '.join(_KEKULISED)}")
        vocabulary = cls(name, types, tuple(bonds), max_atoms, recipe)
        if replace(vocabulary, recipe="none") not in (VOCABULARIES.get(name), FORMER.get(name)):
            check_own_name(name)
        return vocabulary

    @property
    def keeps_charges(self) -> bool:
        """False if all atom types are neutral: then a charged atom is coded as the neutral one of its element."""
        return any(atom.charge for atom in self.atoms)

    @property
    def atom_labels(self) -> list[str]:
        return [atom.label for atom in self.atoms]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of atom classes and of bond classes, and of the most atoms of a graph."""
        return len(self.atoms), len(self.bonds), self.max_atoms

    def digest(self) -> str:
        """SHA-256 (hex) of the vocabulary, equal at two sites only if their graphs mean the same."""
        said = asdict(self)
        if self.recipe == "none":  # as it was before there were recipes
            del said["recipe"]
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_own_name(name: str) -> None:
    """Raises ValueError if a vocabulary that comes with fedmol has the name."""
    if name in VOCABULARIES:
        raise ValueError(f"{name} is the name of a vocabulary that comes with fedmol: give it another name")


def _built_in(name: str, atoms: str, max_atoms: int, bonds: Sequence[str] = _KEKULISED) -> Vocabulary:
    return Vocabulary(name, tuple(map(AtomType.of, atoms.split())), tuple(bonds), max_atoms)


VOCABULARIES: dict[str, Vocabulary] = {
    vocabulary.name: vocabulary
    for vocabulary in (
        # DiGress's own: formal charges dropped, and an aromatic class that kekulised molecules never use.
        _built_in("qm9", "C N O F", 9, (*_KEKULISED, "aromatic")),
        # The only four charged types that occur in QM9; with them each of its molecules is coded exactly.
        _built_in("qm9-charged", "C N O F N+ O- N- C-", 9),
        # The elements of drug-like molecules, and the charges that these have in ions, zwitterions and ylides.
        _built_in("drug", "C N O F S Cl Br I P B Si Se N+ O- N- S+ S- C- O+ P+ B-", 42),
    )
}
# As files of model format 1 and 2 mean it, which say no more than its name.
FORMER: dict[str, Vocabulary] = {"drug": _built_in("drug", "C N O F S Cl Br N+ O- N- S+ S-", 42)}


def get(name: str, recipe: Recipe = "none") -> Vocabulary:
    """The vocabulary of that name that comes with fedmol, with that recipe.

    Raises:
        FedmolError: BAD_SETTINGS if there is none.
    """
    if name not in VOCABULARIES:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"there is no vocabulary {name!r}",
            f"take one of {', '.join(VOCABULARIES)} (--vocabulary on the command line, model.vocabulary in the "
            "settings), or say the atoms and sizes of your own, which fedmol data vocabulary FILE proposes",
        )
    return replace(VOCABULARIES[name], recipe=recipe)
