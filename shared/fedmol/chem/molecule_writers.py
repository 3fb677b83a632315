"""Generated molecules as chemists expect to find them: SMILES line by line, a table, or 2D structures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem
from rdkit.Chem import rdDepictor

from fedmol.chem.generated_molecules import Molecule
from fedmol.chem.stereo import Stereoisomers
from fedmol.errors import Exit, FedmolError


@dataclass(frozen=True)
class Listing:
    """A file format: what stands at the top, and what stands for a molecule ("" where it is left out).

    With the stereoisomers of a molecule there is a row or a structure for each of them.
    """

    head: str
    rows: Callable[[Molecule, Stereoisomers | None], str]


def listing(path: Path, stereo: bool = False) -> Listing:
    """The format that the suffix of `path` asks for. Only tables have the invalid ones.

    With `stereo` tables have two more columns: the molecule as it was drawn, and how many stereoisomers it has.

    Raises:
        FedmolError: USAGE for a suffix that is none of .smi, .csv and .sdf.
    """
    if path.suffix not in _LISTINGS:
        raise FedmolError(
            Exit.USAGE,
            f"{path} does not say in which format molecules are to be written",
            f"end its name in one of {', '.join(_LISTINGS)}",
        )
    form = _LISTINGS[path.suffix]
    return Listing(_line(*_COLUMNS, *_STEREO_COLUMNS), form.rows) if stereo and form.head else form


def _smiles_lines(molecule: Molecule, isomers: Stereoisomers | None) -> str:
    return "".join(f"{smiles}\n" for smiles in _written(molecule, isomers)) if molecule.valid else ""


def _written(molecule: Molecule, isomers: Stereoisomers | None) -> tuple[str, ...]:
    return isomers.smiles if isomers else (molecule.smiles,)


_COLUMNS = ("smiles", "valid", "relaxed", "connected", "novel", "reason")
_STEREO_COLUMNS = ("drawn", "isomers")


def _table_rows(molecule: Molecule, isomers: Stereoisomers | None) -> str:
    flags = map(_flag, (molecule.valid, molecule.relaxed, molecule.connected, molecule.novel))
    cells = (*flags, molecule.reason, *((molecule.smiles, _total(isomers)) if isomers else ()))
    return "".join(_line(smiles, *cells) for smiles in _written(molecule, isomers))


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def _total(isomers: Stereoisomers) -> str:
    return "" if isomers.total is None else str(isomers.total)


def _line(*cells: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _structures(molecule: Molecule, isomers: Stereoisomers | None) -> str:
    if not molecule.valid:
        return ""
    more = "" if molecule.novel is None else _field("novel", _flag(molecule.novel))
    if isomers:
        more += _field("drawn", molecule.smiles)
        more += _field("isomers", _total(isomers)) if isomers.total else ""
    return "".join(_structure(smiles, more) for smiles in _written(molecule, isomers))


def _structure(smiles: str, more: str) -> str:
    mol = Chem.MolFromSmiles(smiles)
    rdDepictor.Compute2DCoords(mol)
    mol.SetProp("_Name", smiles)
    if "@" in smiles:  # without the flag a molfile's centres may be read as a racemate
        mol.SetIntProp("_MolFileChiralFlag", 1)
    return f"{Chem.MolToMolBlock(mol)}{_field('smiles', smiles)}{more}$$$$\n"


def _field(name: str, value: str) -> str:
    return f"> <{name}>\n{value}\n\n"


_LISTINGS = {
    ".smi": Listing("", _smiles_lines),
    ".csv": Listing(_line(*_COLUMNS), _table_rows),
    ".sdf": Listing("", _structures),
}
