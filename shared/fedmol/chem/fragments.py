"""Fragments that a molecule is to be grown from: SMILES, with [*] where it may grow."""

from __future__ import annotations

import torch
from rdkit import Chem, rdBase

from fedmol.chem.normal_form import RejectedError, read
from fedmol.chem.reading import BOND_TYPES
from fedmol.chem.vocabulary import AtomType, Vocabulary
from fedmol.diffusion.inpainting import FREE, Fragment
from fedmol.errors import Exit, FedmolError

_OPEN = 0  # the atomic number of [*]


def read_fragment(text: str, vocabulary: Vocabulary) -> Fragment:
    """The fragment of `text` in codes of `vocabulary`, bonds kekulised, hydrogens left to valence.

    Without [*] every atom may get further bonds. With [*], each stands for one new atom of any type that has the bond
    written there, and only from these new atoms does the molecule grow on. Stereo and isotopes are dropped.

    Raises:
        FedmolError: USAGE if it cannot be read, has no atom, or has atoms or bonds that the vocabulary lacks.
    """
    try:
        with rdBase.BlockLogs():
            mol = read(text, fragments=True).mol
    except RejectedError as reason:
        why = "it is empty" if not text.strip() else str(reason)
        raise _refused(text, why, "write it as SMILES, such as c1ccncc1 or [*]c1ccncc1") from None
    Chem.Kekulize(mol, clearAromaticFlags=True)
    atoms = torch.tensor([_atom_class(atom, text, vocabulary) for atom in mol.GetAtoms()])
    classes, bonds = _bond_classes(vocabulary), torch.zeros(len(atoms), len(atoms), dtype=torch.int64)
    for bond in mol.GetBonds():
        if bond.GetBondType() not in classes:
            raise _refused(text, f"the vocabulary {vocabulary.name} lacks its bonds", "leave out that bond")
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[i, j] = bonds[j, i] = classes[bond.GetBondType()]
    grows = atoms == FREE
    bonds[(grows[:, None] & grows) & (bonds == 0)] = FREE
    bonds.fill_diagonal_(0)
    return Fragment(atoms, bonds, ~grows if grows.any() else grows)


def _atom_class(atom: Chem.Atom, text: str, vocabulary: Vocabulary) -> int:
    if atom.GetAtomicNum() == _OPEN:
        return FREE
    kind = AtomType(atom.GetSymbol(), atom.GetFormalCharge() if vocabulary.keeps_charges else 0)
    if kind not in vocabulary.atoms:
        lacks = f"the model's vocabulary {vocabulary.name} has no {kind.label}"
        raise _refused(text, lacks, f"use only {', '.join(vocabulary.atom_labels)}")
    return vocabulary.atoms.index(kind)


def _bond_classes(vocabulary: Vocabulary) -> dict[int, int]:
    """The bond class of each of RDKit's bond types that the vocabulary has."""
    return {int(BOND_TYPES[name]): kind for kind, name in enumerate(vocabulary.bonds) if name in BOND_TYPES}


def _refused(text: str, reason: str, cure: str) -> FedmolError:
    return FedmolError(Exit.USAGE, f"the scaffold {text!r} cannot be used: {reason}", cure)
