"""Molecules that come as text: read into the same form as generated graphs, and what was found on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rdkit import Chem, rdBase

from fedmol.chem.reading import Reading, canonical
from fedmol.data.reading import Table

_EXAMPLES = 5
_CHARGED_ATOM = re.compile(r"\[[^\]]*[+-]")
_STEREO = frozenset("@/\\")


@dataclass(frozen=True)
class Contents:
    """What the rows of a file hold. Charges are those of the largest fragment, which is what is judged."""

    rows: int
    invalid: int  # not a SMILES, or empty
    invalid_lines: tuple[int, ...]  # the first of them
    duplicates: int  # valid, and the same molecule as in a row before
    fragmented: int  # salts and the like: the fragment with most heavy atoms is judged, of equal ones the first
    ions: int  # their charges do not cancel
    charged_atoms: int  # have charged atoms, cancelled or not
    stereo: int  # with marks of stereo, which are not looked at


def read_rows(table: Table) -> tuple[list[Reading], Contents]:
    """One reading per row. Text has no lenient form, so strictly and relaxed valid are the same."""
    with rdBase.BlockLogs():
        readings = [_read(text) for text in table.smiles]
        valid = [one.smiles for one in readings if one.smiles is not None]
        charged = [one for one in valid if _CHARGED_ATOM.search(one)]
        ions = sum(Chem.GetFormalCharge(Chem.MolFromSmiles(one)) != 0 for one in charged)
    invalid = [line for line, one in zip(table.lines, readings, strict=True) if one.smiles is None]
    contents = Contents(
        rows=len(table),
        invalid=len(invalid),
        invalid_lines=tuple(invalid[:_EXAMPLES]),
        duplicates=len(valid) - len(set(valid)),
        fragmented=sum(one.smiles is not None and not one.connected for one in readings),
        ions=ions,
        charged_atoms=len(charged),
        stereo=sum(
            one.smiles is not None and not _STEREO.isdisjoint(text)
            for text, one in zip(table.smiles, readings, strict=True)
        ),
    )
    return readings, contents


def _read(text: str) -> Reading:
    mol = Chem.MolFromSmiles(text)
    if mol is None or not mol.GetNumAtoms():
        return Reading(None, None, connected=False)
    valid = canonical(mol)
    return Reading(valid, valid, connected=len(Chem.GetMolFrags(mol)) == 1)
