"""Molecules that come as text: read into the same form as generated graphs."""

from __future__ import annotations

from collections.abc import Sequence

from rdkit import Chem, rdBase

from fedmol.chem.reading import Reading, canonical


def read_smiles(smiles: Sequence[str]) -> list[Reading]:
    """One reading per SMILES. Text has no lenient form, so strictly and relaxed valid are the same."""
    with rdBase.BlockLogs():
        return [_read(text) for text in smiles]


def _read(text: str) -> Reading:
    mol = Chem.MolFromSmiles(text)
    if mol is None or not mol.GetNumAtoms():
        return Reading(None, None, connected=False)
    valid = canonical(mol)
    return Reading(valid, valid, connected=len(Chem.GetMolFrags(mol)) == 1)
