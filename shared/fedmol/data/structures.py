"""Structures with coordinates (SDF, molfiles): each record as the SMILES of what is drawn."""

from __future__ import annotations

from collections.abc import Iterator

from rdkit import Chem, rdBase

from fedmol.chem.normal_form import MOST_ATOMS, NO_ATOM, RejectedError, check_one, check_size, fault
from fedmol.data import placeholders
from fedmol.data.delimited import Row

RECORD = "structure that cannot be read"
_END, _MOLFILE_END = "$$$$", "M  END"
_ATOM = 15  # characters of the shortest line of an atom; what is short enough cannot have too many


def rows_of(lines: list[str]) -> Iterator[Row]:
    """One row per record, with the number of its first line. Empty lines between and after records are none."""
    with rdBase.BlockLogs():
        start = 0
        while start < len(lines):
            end = next((k for k in range(start, len(lines)) if lines[k].startswith(_END)), len(lines))
            block = lines[start:end]
            if any(line.strip() for line in block):
                yield _row(start + 1, block)
            elif end < len(lines):
                yield Row(start + 1, blank=True)
            start = end + 1


def _row(line: int, block: list[str]) -> Row:
    if sum(text.startswith(_MOLFILE_END) for text in block) > 1:  # RDKit would read the first, and nobody the others
        return Row(line, fault=RECORD)
    try:
        return Row(line, _smiles(block))
    except RejectedError as reason:
        return Row(line, fault=str(reason))


def _smiles(block: list[str]) -> str:
    text = "\n".join(block) + "\n"
    if len(text) > _ATOM * MOST_ATOMS:
        check_size(_loose(text))
    mol = Chem.MolFromMolBlock(text, removeHs=False)
    if mol is None:
        raise RejectedError(_why_not(text, block))
    if not mol.GetNumAtoms():
        raise RejectedError(NO_ATOM)
    check_one(mol, groups=True)
    placeholders.check(mol, block)
    return str(Chem.MolToSmiles(mol))


def _loose(text: str) -> Chem.Mol | None:
    return Chem.MolFromMolBlock(text, sanitize=False, removeHs=False)


def _why_not(text: str, block: list[str]) -> str:
    loose = _loose(text)
    if loose is None:
        return placeholders.unknown_symbol(block) or RECORD
    return fault(loose)
