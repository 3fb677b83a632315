"""Molecules -> codes of a vocabulary: kekulised bonds, heavy atoms only, and a reason for what does not fit.

Nothing here needs torch, so that processes which share a large file start quickly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from fedmol.chem.normal_form import Molecule, RejectedError, read
from fedmol.chem.scaffolds import scaffold_of
from fedmol.chem.standardise import read_by
from fedmol.chem.vocabulary import AtomType, Vocabulary

RADICAL = "radical"
BOND = "bond type not in the vocabulary"
HYDROGENS = "its hydrogens do not follow from valence"
UNKNOWN_ELEMENT = "element not in the vocabulary"
UNKNOWN_CHARGE = "charge not in the vocabulary"
TOO_LARGE = "too large"
CHARGES = "charges"  # dropped, by a vocabulary of neutral atoms

_ORDERS = {"single": 1, "double": 2, "triple": 3}
_ELEMENTS = 119  # that RDKit knows, and 0 for an open atom
_UNUSUAL = frozenset("<>~$")  # in SMILES: dative, unknown and quadruple bonds


@dataclass(frozen=True, slots=True)
class Coded:
    """One graph, and what is to be told of it."""

    atoms: NDArray[np.int16]  # (n,)
    ends: NDArray[np.int16]  # (bonds, 2)
    bonds: NDArray[np.int8]  # (bonds,)
    smiles: str
    original: str
    scaffold: str
    dropped: tuple[str, ...]
    changed: tuple[str, ...]


class Codes:
    """The class indices of a vocabulary, and the graphs that are written in them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary, self.keeps_charges = vocabulary, vocabulary.keeps_charges
        table = Chem.GetPeriodicTable()
        self.atoms = {
            (table.GetAtomicNumber(atom.symbol), atom.charge): kind for kind, atom in enumerate(vocabulary.atoms)
        }
        self.elements = {number for number, _ in self.atoms}
        self.neutral = np.full(_ELEMENTS, -1, np.int16)  # class of the neutral atom by atomic number
        for (number, charge), kind in self.atoms.items():
            if not charge:
                self.neutral[number] = kind
        # Bond class by twice the order, 0 where there is none.
        self.bonds = np.zeros(2 * max(_ORDERS.values()) + 1, np.int8)
        for name, order in _ORDERS.items():
            if name in vocabulary.bonds:
                self.bonds[2 * order] = vocabulary.bonds.index(name)

    def code(self, molecule: Molecule, changed: tuple[str, ...] = ()) -> Coded:
        """The graph of a molecule, which is used up by it.

        Raises:
            RejectedError: why the vocabulary cannot hold it.
        """
        mol = molecule.mol
        atoms, charged = self._atoms(mol, "[" in molecule.smiles)
        if not _UNUSUAL.isdisjoint(molecule.smiles):
            raise RejectedError(BOND)
        scaffold = scaffold_of(mol)
        Chem.Kekulize(mol, clearAromaticFlags=True)
        orders = Chem.GetAdjacencyMatrix(mol, useBO=True, force=True)
        i, j = np.nonzero(orders)
        i, j = i[i < j], j[i < j]
        ends, bonds = np.stack([i, j], 1).astype(np.int16), self.bonds[(2 * orders[i, j]).astype(np.int64)]
        if not bonds.all():
            raise RejectedError(BOND)
        if charged and not self.keeps_charges:
            neutral = _neutral(molecule.smiles, mol)
            return Coded(atoms, ends, bonds, *neutral, (*molecule.dropped, CHARGES), changed)
        if "[" in molecule.smiles:
            _check_hydrogens(mol)
        return Coded(atoms, ends, bonds, molecule.smiles, molecule.original, scaffold, molecule.dropped, changed)

    def _atoms(self, mol: Chem.Mol, bracketed: bool) -> tuple[NDArray[np.int16], bool]:
        """Class indices of the atoms, and whether one of them has a charge."""
        if mol.GetNumAtoms() > self.vocabulary.max_atoms:
            most, name = self.vocabulary.max_atoms, self.vocabulary.name
            raise RejectedError(f"{TOO_LARGE} for the vocabulary {name} (more than {most} heavy atoms)")
        atoms = map(mol.GetAtomWithIdx, range(mol.GetNumAtoms()))  # in half the time that GetAtoms takes
        numbers = [atom.GetAtomicNum() for atom in atoms]
        charges = [atom.GetFormalCharge() for atom in mol.GetAtoms()] if bracketed else [0] * len(numbers)
        charged = any(charges)
        if charged and self.keeps_charges:
            kinds = np.array([self.atoms.get(kind, -1) for kind in zip(numbers, charges, strict=True)], np.int16)
        else:
            charges, kinds = [0] * len(numbers), self.neutral[numbers]
        if kinds.min() < 0:
            raise RejectedError(self._foreign(list(zip(numbers, charges, strict=True))))
        if bracketed and any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
            raise RejectedError(RADICAL)
        return kinds, charged

    def _foreign(self, kinds: Iterable[tuple[int, int]]) -> str:
        """What the vocabulary lacks of these atoms, elements first."""
        lacking = [kind for kind in kinds if kind not in self.atoms]
        number, charge = next((kind for kind in lacking if kind[0] not in self.elements), lacking[0])
        symbol = Chem.GetPeriodicTable().GetElementSymbol(number) if number else "*"
        if number in self.elements:
            return f"{UNKNOWN_CHARGE} {self.vocabulary.name}: {AtomType(symbol, charge).label}"
        return f"{UNKNOWN_ELEMENT} {self.vocabulary.name}: {symbol}"


def _check_hydrogens(mol: Chem.Mol) -> None:
    """Raises RejectedError unless a kekulised molecule's hydrogens are those that valence gives its atoms.

    A graph says nothing of hydrogens. Those of atoms without brackets follow from valence by the rules of SMILES.
    """
    for atom in mol.GetAtoms():
        if atom.GetNoImplicit():
            said = atom.GetTotalNumHs()
            atom.SetNoImplicit(False)
            atom.SetNumExplicitHs(0)
            try:
                atom.UpdatePropertyCache()
            except ValueError:  # RDKit's error for a valence that no atom of the element has
                raise RejectedError(HYDROGENS) from None
            if atom.GetTotalNumHs() != said:
                raise RejectedError(HYDROGENS)


def _neutral(smiles: str, mol: Chem.Mol) -> tuple[str, str, str]:
    """What a graph without charges says: its SMILES, twice, and its scaffold. `mol` is kekulised, and is changed.

    Where the graph breaks valence, it is told as the molecule that it was made of.
    """
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(False)
        atom.SetNumExplicitHs(0)
        atom.SetFormalCharge(0)
    try:
        Chem.SanitizeMol(mol)
        said = str(Chem.MolToSmiles(mol, isomericSmiles=False))
    except ValueError:  # RDKit's sanitisation errors
        mol = read(smiles).mol
        said = smiles
    return said, said, scaffold_of(mol)


@dataclass(frozen=True)
class Block:
    """The molecules of some rows, their graphs one after the other, and why the other rows have none."""

    counts: NDArray[np.int16]  # (B,) atoms of each graph
    atoms: NDArray[np.int16]  # (sum of counts,)
    bond_counts: NDArray[np.int16]  # (B,)
    ends: NDArray[np.int16]  # (sum of bond counts, 2)
    bonds: NDArray[np.int8]  # (sum of bond counts,)
    smiles: list[str]
    originals: dict[int, str]  # place of a graph -> canonical SMILES that it had, where that says more or other
    scaffolds: list[str]
    dropped: dict[str, list[int]]  # what was dropped -> places of graphs
    changed: dict[str, list[int]]  # what standardising changed -> places of graphs
    rows: list[int]  # index into the texts, one per graph
    rejected: dict[str, list[int]]  # reason -> indices into the texts
    read: int  # texts


def code_block(texts: Sequence[str], vocabulary: Vocabulary) -> Block:
    """Each text read, see `fedmol.chem.normal_form`, and coded."""
    codes, coded, rows = Codes(vocabulary), list[Coded](), list[int]()
    rejected: dict[str, list[int]] = {}
    with rdBase.BlockLogs():
        for row, text in enumerate(texts):
            try:
                coded.append(codes.code(*read_by(vocabulary.recipe, text, vocabulary.max_atoms)))
                rows.append(row)
            except RejectedError as reason:
                rejected.setdefault(str(reason), []).append(row)
    dropped: dict[str, list[int]] = {}
    changed: dict[str, list[int]] = {}
    for place, molecule in enumerate(coded):
        for what in molecule.dropped:
            dropped.setdefault(what, []).append(place)
        for what in molecule.changed:
            changed.setdefault(what, []).append(place)
    return Block(
        np.array([len(molecule.atoms) for molecule in coded], np.int16),
        np.concatenate([np.zeros(0, np.int16), *(molecule.atoms for molecule in coded)]),
        np.array([len(molecule.bonds) for molecule in coded], np.int16),
        np.concatenate([np.zeros((0, 2), np.int16), *(molecule.ends for molecule in coded)]),
        np.concatenate([np.zeros(0, np.int8), *(molecule.bonds for molecule in coded)]),
        [molecule.smiles for molecule in coded],
        {place: molecule.original for place, molecule in enumerate(coded) if molecule.original != molecule.smiles},
        [molecule.scaffold for molecule in coded],
        dropped,
        changed,
        rows,
        rejected,
        len(texts),
    )
