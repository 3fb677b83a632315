"""Molecules that come as text: read into the same form as generated graphs, and what was found on the way."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from rdkit import Chem, rdBase

from fedmol.chem.graphs_to_molecules import Reading, canonical
from fedmol.chem.normal_form import ISOTOPES, STEREO, RejectedError, read
from fedmol.data.molecule_files import Table

_EXAMPLES = 5
_CHARGED_ATOM = re.compile(r"\[[^\]]*[+-]")


@dataclass(frozen=True)
class Contents:
    """What the rows of a file hold. Charges are those of the largest fragment, which is what is judged."""

    rows: int
    invalid: int  # no valid molecule, or empty
    invalid_lines: tuple[int, ...]  # the first of them
    duplicates: int  # valid, and the same molecule as in a row before
    fragmented: int  # salts and the like: the fragment with most heavy atoms is judged, of equal ones the first
    ions: int  # their charges do not cancel
    charged_atoms: int  # have charged atoms, cancelled or not
    stereo: int  # whose stereo is not looked at
    isotopes: int = 0  # whose isotopes are not looked at
    blank: int = 0  # beside the rows
    reasons: dict[str, int] = field(default_factory=dict)  # why rows are invalid


def read_rows(table: Table) -> tuple[list[Reading], Contents]:
    """One reading per row. Text has no lenient form, so strictly and relaxed valid are the same."""
    readings, dropped, reasons = list[Reading](), Counter[str](), Counter[str]()
    with rdBase.BlockLogs():
        for row, text in enumerate(table.smiles):
            try:
                reading, without = _read(text, table.faults.get(row))
                dropped.update(without)
            except RejectedError as reason:
                reading = Reading(None, None, connected=False)
                reasons[str(reason)] += 1
            readings.append(reading)
        valid = [reading.smiles for reading in readings if reading.smiles is not None]
        charged = [molecule for molecule in valid if _CHARGED_ATOM.search(molecule)]
        ions = sum(Chem.GetFormalCharge(Chem.MolFromSmiles(molecule)) != 0 for molecule in charged)
    invalid = [line for line, reading in zip(table.lines, readings, strict=True) if reading.smiles is None]
    contents = Contents(
        rows=len(table),
        invalid=len(invalid),
        invalid_lines=tuple(invalid[:_EXAMPLES]),
        duplicates=len(valid) - len(set(valid)),
        fragmented=sum(reading.smiles is not None and not reading.connected for reading in readings),
        ions=ions,
        charged_atoms=len(charged),
        stereo=dropped[STEREO],
        isotopes=dropped[ISOTOPES],
        blank=table.blank,
        reasons=dict(reasons.most_common()),
    )
    return readings, contents


def _read(text: str, fault: str | None) -> tuple[Reading, tuple[str, ...]]:
    """The reading of a row, and what of it is not looked at."""
    if fault is not None:
        raise RejectedError(fault)
    molecule = read(text, fragments=True)
    connected = len(Chem.GetMolFrags(molecule.mol)) == 1
    smiles = molecule.smiles if connected else canonical(molecule.mol)
    return Reading(smiles, smiles, connected), molecule.dropped
