"""SMILES -> graphs: kekulised bonds, heavy atoms only, and a reason for every molecule that does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from rdkit import Chem, rdBase

from fedmol.chem.reading import BOND_TYPES, assemble
from fedmol.chem.vocabulary import AtomType, Vocabulary
from fedmol.graphs import Graphs

EMPTY = "empty cell"
UNPARSABLE = "not a SMILES"
FRAGMENTS = "more than one fragment (salt?)"
RADICAL = "radical"
BOND = "bond type not in the vocabulary"
HYDROGENS = "its hydrogens do not follow from valence"
UNKNOWN_ATOM = "atom not in the vocabulary"
TOO_LARGE = "too large"


class _RejectedError(Exception):
    """Carries the reason why a molecule does not fit."""


@dataclass(frozen=True)
class Encoded:
    """Graphs of the molecules that fit, and why the others do not."""

    graphs: Graphs
    smiles: list[str]  # canonical, without stereo, one per graph
    rows: list[int]  # index into the input, one per graph
    rejected: dict[str, list[int]] = field(default_factory=dict)  # reason -> indices into the input


@dataclass(frozen=True)
class _Coded:
    smiles: str
    atoms: list[int]
    pairs: list[tuple[int, int, int]]  # (i, j, bond class)


def _parse(text: str) -> Chem.Mol:
    words = text.split()
    if not words:
        raise _RejectedError(EMPTY)
    # RDKit would take a second word for a name; only a CXSMILES extension may follow.
    mol = Chem.MolFromSmiles(text) if len(words) == 1 or words[1].startswith("|") else None
    if mol is None:
        raise _RejectedError(UNPARSABLE)
    if "." in words[0] and len(Chem.GetMolFrags(mol)) > 1:
        raise _RejectedError(FRAGMENTS)
    if "[" in words[0]:
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
            atom.SetAtomMapNum(0)
        mol = Chem.RemoveHs(mol)
    return mol


def _atom_classes(mol: Chem.Mol, index: dict[tuple[str, int], int], vocabulary: Vocabulary) -> list[int]:
    classes = []
    for atom in mol.GetAtoms():
        charge = atom.GetFormalCharge() if vocabulary.keeps_charges else 0
        kind = index.get((atom.GetSymbol(), charge))
        if kind is None:
            raise _RejectedError(f"{UNKNOWN_ATOM} {vocabulary.name}: {AtomType(atom.GetSymbol(), charge).label}")
        if atom.GetNumRadicalElectrons():
            raise _RejectedError(RADICAL)
        classes.append(kind)
    if len(classes) > vocabulary.max_atoms:
        raise _RejectedError(
            f"{TOO_LARGE} for the vocabulary {vocabulary.name} (more than {vocabulary.max_atoms} heavy atoms)"
        )
    return classes


def _code(
    text: str, atom_index: dict[tuple[str, int], int], bond_index: dict[int, int], vocabulary: Vocabulary
) -> _Coded:
    mol = _parse(text)
    atoms = _atom_classes(mol, atom_index, vocabulary)
    smiles = str(Chem.MolToSmiles(mol, isomericSmiles=False))
    Chem.Kekulize(mol, clearAromaticFlags=True)
    try:
        pairs = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), bond_index[b.GetBondType()]) for b in mol.GetBonds()]
    except KeyError:
        raise _RejectedError(BOND) from None
    return _Coded(_read_back(smiles, atoms, pairs, vocabulary), atoms, pairs)


def _read_back(smiles: str, atoms: list[int], pairs: list[tuple[int, int, int]], vocabulary: Vocabulary) -> str:
    """The SMILES of the graph, which must be that of the molecule unless the vocabulary drops charges."""
    mol = assemble(atoms, pairs, vocabulary)
    try:
        Chem.SanitizeMol(mol)
        read = str(Chem.MolToSmiles(mol))
    except ValueError:  # RDKit's sanitisation errors
        read = None
    if vocabulary.keeps_charges and read != smiles:
        raise _RejectedError(HYDROGENS)
    return smiles if read is None else read


def _batch(coded: list[_Coded]) -> Graphs:
    counts = np.array([len(one.atoms) for one in coded], np.int64)
    width = int(counts.max(initial=0))
    atoms = np.zeros((len(coded), width), np.int8)
    bonds = np.zeros((len(coded), width, width), np.int8)
    atoms[np.arange(width) < counts[:, None]] = [kind for one in coded for kind in one.atoms]
    pairs = np.array([(b, *pair) for b, one in enumerate(coded) for pair in one.pairs], np.int64).reshape(-1, 4)
    b, i, j, kind = pairs.T
    bonds[b, i, j] = bonds[b, j, i] = kind
    return Graphs(torch.from_numpy(atoms), torch.from_numpy(bonds), torch.from_numpy(counts))


def bond_classes(vocabulary: Vocabulary) -> dict[int, int]:
    """The bond class of each of RDKit's bond types that the vocabulary has."""
    return {int(BOND_TYPES[name]): kind for kind, name in enumerate(vocabulary.bonds) if name in BOND_TYPES}


def encode(smiles: Sequence[str], vocabulary: Vocabulary) -> Encoded:
    """The graphs of all molecules that fit the vocabulary, as wide as the largest of them.

    Stereo, isotopes and atom maps are dropped. A molecule is kept only if its graph reads back as the same canonical
    SMILES; with a vocabulary of neutral atoms charges are dropped, and `Encoded.smiles` then says what the graph says
    (the molecule's own SMILES where the neutral graph breaks valence). Rejected are, each with its reason: empty
    text, what is not a SMILES, more than one fragment, unknown atoms, radicals, too many atoms, unknown bonds.
    """
    atom_index = {(atom.symbol, atom.charge): kind for kind, atom in enumerate(vocabulary.atoms)}
    bond_index = bond_classes(vocabulary)
    coded: list[_Coded] = []
    rows: list[int] = []
    rejected: dict[str, list[int]] = {}
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles):
            try:
                coded.append(_code(text, atom_index, bond_index, vocabulary))
                rows.append(row)
            except _RejectedError as reason:
                rejected.setdefault(str(reason), []).append(row)
    return Encoded(_batch(coded), [one.smiles for one in coded], rows, rejected)


def canonical_smiles(smiles: Sequence[str]) -> list[str | None]:
    """Canonical SMILES without stereo, isotopes and atom maps of each; None for what is rejected in any vocabulary."""

    def one(text: str) -> str | None:
        try:
            return str(Chem.MolToSmiles(_parse(text), isomericSmiles=False))
        except _RejectedError:
            return None

    with rdBase.BlockLogs():
        return [one(text) for text in smiles]
