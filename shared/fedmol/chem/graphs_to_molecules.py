"""Graphs -> molecules: what a generated graph is worth as a molecule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from fedmol.chem.vocabulary import Vocabulary
from fedmol.graphs import Graphs

BOND_TYPES = {
    "single": Chem.BondType.SINGLE,
    "double": Chem.BondType.DOUBLE,
    "triple": Chem.BondType.TRIPLE,
    "aromatic": Chem.BondType.AROMATIC,
}
_VALENCE_OF_NEUTRAL = {7: 3, 8: 2}  # sulphur never needs the rule: its valence 3 takes a hydrogen and becomes 4


@dataclass(frozen=True)
class Reading:
    """What a graph says. SMILES are canonical, without stereo, and of the largest fragment (DiGress's rule).

    `smiles` is None unless the whole graph obeys valence as it stands; `relaxed` also lets neutral nitrogen and
    oxygen with one bond too many take a charge of +1 (the rule of GDSS and DiGress).
    """

    smiles: str | None
    relaxed: str | None
    connected: bool


def assemble(atoms: list[int], pairs: list[tuple[int, int, int]], vocabulary: Vocabulary) -> Chem.RWMol:
    """`molecule` from atom classes and one (i, j, bond class) per bond."""
    mol = Chem.RWMol()
    for kind in atoms:
        atom = Chem.Atom(vocabulary.atoms[kind].symbol)
        atom.SetFormalCharge(vocabulary.atoms[kind].charge)
        mol.AddAtom(atom)
    for i, j, kind in pairs:
        mol.AddBond(i, j, BOND_TYPES[vocabulary.bonds[kind]])
    return mol


def molecule(atoms: NDArray[np.int16], bonds: NDArray[np.int8], vocabulary: Vocabulary) -> Chem.RWMol:
    """The molecule of one graph, not sanitised: atoms (n,) and bonds (n, n) are class indices of `vocabulary`.

    Hydrogens are left to valence: sanitising the result fills them in.

    Raises:
        ValueError: a bond has different half-edges, which no bond between two atoms has.
    """
    if (bonds != bonds.T).any():
        raise ValueError("a bond looks different from its two ends: this is no graph of atoms")
    i, j = np.nonzero(np.triu(bonds, 1))
    return assemble(atoms.tolist(), list(zip(i.tolist(), j.tolist(), bonds[i, j].tolist(), strict=True)), vocabulary)


def canonical(mol: Chem.Mol) -> str | None:
    """Canonical SMILES without stereo of the largest fragment of `mol`, None if it breaks a rule of valence."""
    try:
        mol = Chem.Mol(mol)
        Chem.SanitizeMol(mol)
        fragments = Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=True)
        return str(Chem.MolToSmiles(max(fragments, key=lambda part: part.GetNumAtoms()), isomericSmiles=False))
    except ValueError:  # RDKit's sanitisation errors
        return None


def relax(mol: Chem.RWMol) -> Chem.RWMol:
    """A copy in which neutral nitrogen and oxygen with one bond too many carry a charge of +1."""
    relaxed = Chem.RWMol(mol)
    for atom in relaxed.GetAtoms():
        valence = sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())
        if not atom.GetFormalCharge() and int(valence) == _VALENCE_OF_NEUTRAL.get(atom.GetAtomicNum(), -2) + 1:
            atom.SetFormalCharge(1)
    return relaxed


def _read(atoms: NDArray[np.int16], bonds: NDArray[np.int8], vocabulary: Vocabulary) -> Reading:
    if not len(atoms):
        return Reading(None, None, connected=False)
    mol = molecule(atoms, bonds, vocabulary)
    strict = canonical(mol)
    relaxed = strict if strict is not None else canonical(relax(mol))
    return Reading(strict, relaxed, connected=len(Chem.GetMolFrags(mol)) == 1)


def read_graphs(graphs: Graphs, vocabulary: Vocabulary) -> list[Reading]:
    """One reading per graph, in order; a strictly valid graph reads the same strictly and relaxed."""
    atoms, bonds = graphs.atoms.cpu().numpy(), graphs.bonds.cpu().numpy()  # (B, N), (B, N, N)
    with rdBase.BlockLogs():
        return [_read(atoms[b, :n], bonds[b, :n, :n], vocabulary) for b, n in enumerate(graphs.counts.tolist())]
