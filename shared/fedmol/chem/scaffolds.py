"""Murcko scaffolds: what chemists call the same series."""

from __future__ import annotations

from collections.abc import Sequence

from rdkit import Chem, rdBase

from fedmol.chem.normal_form import RejectedError, read


def scaffold_of(mol: Chem.Mol) -> str:
    """Canonical SMILES, without stereo, of the Murcko scaffold of a molecule in normal form; "" without a ring."""
    if not mol.GetRingInfo().NumRings():
        return ""
    return str(Chem.MolToSmiles(Chem.MurckoDecompose(mol), isomericSmiles=False))


def scaffold(smiles: str) -> str | None:
    """`scaffold_of` what a SMILES says; None if it cannot be read."""
    try:
        return scaffold_of(read(smiles, fragments=True).mol)
    except RejectedError:
        return None


def scaffolds(smiles: Sequence[str]) -> list[str | None]:
    """`scaffold` of each, in order."""
    with rdBase.BlockLogs():
        return [scaffold(text) for text in smiles]
