"""Murcko scaffolds: what chemists call the same series."""

from __future__ import annotations

from collections.abc import Sequence

from rdkit import Chem, rdBase


def scaffold(smiles: str) -> str | None:
    """Canonical SMILES, without stereo, of the Murcko scaffold; "" if there is no ring, None if it cannot be read."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return None
    if not mol.GetRingInfo().NumRings():
        return ""
    return str(Chem.MolToSmiles(Chem.MurckoDecompose(mol), isomericSmiles=False))


def scaffolds(smiles: Sequence[str]) -> list[str | None]:
    """`scaffold` of each, in order."""
    with rdBase.BlockLogs():
        return [scaffold(one) for one in smiles]
