"""Scaffolds that molecules are to be grown from: SMILES, with [*] where they may grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rdkit import Chem, rdBase
from torch import Tensor

from fedmol.chem.graphs_to_molecules import BOND_TYPES
from fedmol.chem.normal_form import RejectedError, read
from fedmol.chem.vocabulary import AtomType, Vocabulary
from fedmol.diffusion.inpainting import FREE, Fragment
from fedmol.errors import Exit, FedmolError

MOST_FORMS = 256  # Kekule forms of a scaffold; seven separate benzene rings have 128

_OPEN = 0  # the atomic number of [*]


@dataclass(frozen=True)
class ScaffoldQuery:
    """What every molecule is to contain: in codes, for the denoiser, and as a query, for what it made of them."""

    fragment: Fragment
    query: Chem.Mol

    def within(self, smiles: str) -> bool:
        """True if RDKit finds the scaffold in a molecule: aromatic bonds are aromatic there, all others are not.

        Hydrogens are not compared: an aromatic [nH] may have a substituent. Bonds of [*] may be aromatic.

        Example:
            >>> from fedmol.chem.vocabulary import get
            >>> pyrrole = read_scaffold("c1cc[nH]c1", get("qm9"))
            >>> pyrrole.within("Cn1cccc1"), pyrrole.within("C1=CCNC1")
            (True, False)
        """
        mol = Chem.MolFromSmiles(smiles)
        return mol is not None and mol.HasSubstructMatch(self.query)


def read_scaffold(text: str, vocabulary: Vocabulary) -> ScaffoldQuery:
    """The scaffold of `text`, its fragment in codes of `vocabulary`, hydrogens left to valence.

    The fragment has each Kekule form of the aromatic rings, RDKit's own first, `MOST_FORMS` at most. Without [*] every
    atom may get further bonds. With [*], each stands for one new atom of any type that has the bond written there, and
    only from these new atoms does the molecule grow on. Stereo and isotopes are dropped.

    Raises:
        FedmolError: USAGE if it cannot be read, has no atom, has atoms or bonds that the vocabulary lacks, or leaves
            no room in the vocabulary's largest molecule.
    """
    try:
        with rdBase.BlockLogs():
            mol = read(text, fragments=True).mol
    except RejectedError as reason:
        why = "it is empty" if not text.strip() else str(reason)
        raise _refused(text, why, "write it as SMILES, such as c1ccncc1 or [*]c1ccncc1") from None
    kekulised = Chem.Mol(mol)
    Chem.Kekulize(kekulised, clearAromaticFlags=True)
    _check_types(kekulised, text, vocabulary)
    atoms = torch.tensor([_atom_class(atom, vocabulary) for atom in mol.GetAtoms()])
    grows = atoms == FREE
    room = "" if grows.any() else ", and one has to be left to grow"
    if len(atoms) + bool(room) > vocabulary.max_atoms:
        raise _refused(
            text,
            f"it is too large: it has {len(atoms)} heavy atoms{room}; the model's molecules have at most "
            f"{vocabulary.max_atoms} heavy atoms",
            "take a smaller scaffold, or a model of larger molecules",
        )
    forms = [_bond_matrix(form, grows, vocabulary) for form in _kekule_forms(mol, kekulised)]
    closed = ~grows if grows.any() else grows
    return ScaffoldQuery(Fragment(atoms, torch.stack(forms), closed), _query(mol, vocabulary.keeps_charges))


def _check_types(mol: Chem.Mol, text: str, vocabulary: Vocabulary) -> None:
    """Refuses, with all that is lacking, a kekulised molecule that `vocabulary` cannot hold."""
    kinds = [_atom_type(atom, vocabulary) for atom in mol.GetAtoms() if atom.GetAtomicNum() != _OPEN]
    types = [bond.GetBondType() for bond in mol.GetBonds()]
    lacking = [kind.label for kind in kinds if kind not in vocabulary.atoms]
    lacking += [f"{str(kind).lower()} bonds" for kind in types if kind not in _bond_classes(vocabulary)]
    if lacking:
        raise _refused(
            text,
            f"the model's vocabulary {vocabulary.name} lacks {', '.join(dict.fromkeys(lacking))}",
            f"use only what it holds: {', '.join(vocabulary.atom_labels)}; {', '.join(vocabulary.bonds[1:])} bonds",
        )


def _atom_type(atom: Chem.Atom, vocabulary: Vocabulary) -> AtomType:
    return AtomType(atom.GetSymbol(), atom.GetFormalCharge() if vocabulary.keeps_charges else 0)


def _atom_class(atom: Chem.Atom, vocabulary: Vocabulary) -> int:
    return FREE if atom.GetAtomicNum() == _OPEN else vocabulary.atoms.index(_atom_type(atom, vocabulary))


def _bond_classes(vocabulary: Vocabulary) -> dict[int, int]:
    """The bond class of each of RDKit's bond types that the vocabulary has."""
    return {int(BOND_TYPES[name]): kind for kind, name in enumerate(vocabulary.bonds) if name in BOND_TYPES}


def _bond_matrix(mol: Chem.Mol, grows: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Bond classes (m, m) of a kekulised molecule, `FREE` between two atoms that both are new."""
    classes, bonds = _bond_classes(vocabulary), torch.zeros(len(grows), len(grows), dtype=torch.int64)
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[i, j] = bonds[j, i] = classes[bond.GetBondType()]
    bonds[(grows[:, None] & grows) & (bonds == 0)] = FREE
    return bonds.fill_diagonal_(0)


def _kekule_forms(mol: Chem.Mol, kekulised: Chem.Mol) -> Sequence[Chem.Mol]:
    """`kekulised` and the other Kekule forms of `mol`. Resonance that moves charges or other bonds is left out."""
    if not any(bond.GetIsAromatic() for bond in mol.GetBonds()):
        return [kekulised]
    found = {_bond_types(kekulised): kekulised}
    fixed = [bond.GetIdx() for bond in mol.GetBonds() if not bond.GetIsAromatic()]
    charges, own = _charges(kekulised), _bond_types(kekulised)
    for form in Chem.ResonanceMolSupplier(mol, Chem.KEKULE_ALL, MOST_FORMS):
        types = _bond_types(form)
        if _charges(form) == charges and all(types[bond] == own[bond] for bond in fixed):
            found.setdefault(types, form)
    return list(found.values())[:MOST_FORMS]


def _bond_types(mol: Chem.Mol) -> tuple[int, ...]:
    return tuple(int(bond.GetBondType()) for bond in mol.GetBonds())


def _charges(mol: Chem.Mol) -> list[int]:
    return [atom.GetFormalCharge() for atom in mol.GetAtoms()]


def _query(mol: Chem.Mol, charges: bool) -> Chem.Mol:
    """`mol` with [*] as any atom, with nothing said of radicals and, without `charges`, of charges."""
    query = Chem.RWMol(mol)
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == _OPEN:
            query.ReplaceAtom(atom.GetIdx(), Chem.AtomFromSmarts("*"))
            for bond in atom.GetBonds():
                query.ReplaceBond(bond.GetIdx(), Chem.BondFromSmarts("~"))
            continue
        asked = query.GetAtomWithIdx(atom.GetIdx())
        asked.SetNumRadicalElectrons(0)  # they would be compared
        if not charges:
            asked.SetFormalCharge(0)
    return query.GetMol()


def _refused(text: str, reason: str, cure: str) -> FedmolError:
    return FedmolError(Exit.USAGE, f"the scaffold {text!r} cannot be used: {reason}", cure)
