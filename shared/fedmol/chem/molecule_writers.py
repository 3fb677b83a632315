"""Generated molecules as chemists expect to find them: SMILES line by line, a table, or 2D structures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor

from fedmol.chem.graphs_to_molecules import Reading, molecule, read_graphs
from fedmol.chem.scaffold_query import Scaffold
from fedmol.chem.stereo import Stereoisomers, stereoisomers
from fedmol.chem.vocabulary import Vocabulary
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs

IN_PIECES = "more than one fragment"
NO_SCAFFOLD = "without the scaffold as it was asked for"


@dataclass(frozen=True)
class Entry:
    """One generated molecule. `smiles` is that of the relaxed reading where the strict one fails, "" where both do."""

    smiles: str
    valid: bool
    relaxed: bool
    connected: bool
    novel: bool | None  # None where nothing is known to compare with
    reason: str  # why it is not valid, "" if it is


def entries(
    graphs: Graphs,
    vocabulary: Vocabulary,
    known: Collection[str] | None = None,
    scaffold: Scaffold | None = None,
) -> list[Entry]:
    """One entry per graph, in order.

    `known` holds canonical SMILES; valid molecules that are not among them are novel. With a `scaffold` only molecules
    in one piece in which it is found are valid.
    """
    readings = read_graphs(graphs, vocabulary)
    return [_entry(graphs, row, reading, vocabulary, known, scaffold) for row, reading in enumerate(readings)]


def _entry(
    graphs: Graphs,
    row: int,
    reading: Reading,
    vocabulary: Vocabulary,
    known: Collection[str] | None,
    scaffold: Scaffold | None,
) -> Entry:
    smiles = reading.smiles or reading.relaxed or ""
    misfit = _misfit(smiles, reading.connected, scaffold)
    valid = reading.smiles is not None and not misfit
    return Entry(
        smiles=smiles,
        valid=valid,
        relaxed=reading.relaxed is not None and not misfit,
        connected=reading.connected,
        novel=None if known is None or not valid else smiles not in known,
        reason="" if valid else misfit if reading.smiles is not None else _flaw(graphs, row, vocabulary),
    )


def _misfit(smiles: str, connected: bool, scaffold: Scaffold | None) -> str:
    """Why a molecule is not what the scaffold asks for, "" if it is. In pieces, one of them may be what matters."""
    if scaffold is None:
        return ""
    if not connected:
        return IN_PIECES
    return "" if scaffold.within(smiles) else NO_SCAFFOLD


def isomers_of(entry: Entry, most: int) -> Stereoisomers:
    """At most `most` stereoisomers of a valid entry. What is not valid stands for itself, and is not counted."""
    return stereoisomers(entry.smiles, most) if entry.valid else Stereoisomers((entry.smiles,), None)


def _flaw(graphs: Graphs, row: int, vocabulary: Vocabulary) -> str:
    """What RDKit says against a graph."""
    n = int(graphs.counts[row])
    atoms, bonds = graphs.atoms[row, :n].cpu().numpy(), graphs.bonds[row, :n, :n].cpu().numpy()
    with rdBase.BlockLogs():
        found = Chem.DetectChemistryProblems(molecule(atoms, bonds, vocabulary))
    return str(found[0].Message()) if found else "no atoms"


@dataclass(frozen=True)
class Listing:
    """A file format: what stands at the top, and what stands for an entry ("" where it is left out).

    With the stereoisomers of an entry there is a row or a structure for each of them.
    """

    head: str
    rows: Callable[[Entry, Stereoisomers | None], str]


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


def _smiles_lines(entry: Entry, isomers: Stereoisomers | None) -> str:
    return "".join(f"{smiles}\n" for smiles in _written(entry, isomers)) if entry.valid else ""


def _written(entry: Entry, isomers: Stereoisomers | None) -> tuple[str, ...]:
    return isomers.smiles if isomers else (entry.smiles,)


_COLUMNS = ("smiles", "valid", "relaxed", "connected", "novel", "reason")
_STEREO_COLUMNS = ("drawn", "isomers")


def _table_rows(entry: Entry, isomers: Stereoisomers | None) -> str:
    flags = map(_flag, (entry.valid, entry.relaxed, entry.connected, entry.novel))
    cells = (*flags, entry.reason, *((entry.smiles, _total(isomers)) if isomers else ()))
    return "".join(_line(smiles, *cells) for smiles in _written(entry, isomers))


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def _total(isomers: Stereoisomers) -> str:
    return "" if isomers.total is None else str(isomers.total)


def _line(*cells: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _structures(entry: Entry, isomers: Stereoisomers | None) -> str:
    if not entry.valid:
        return ""
    more = "" if entry.novel is None else _field("novel", _flag(entry.novel))
    if isomers:
        more += _field("drawn", entry.smiles)
        more += _field("isomers", _total(isomers)) if isomers.total else ""
    return "".join(_structure(smiles, more) for smiles in _written(entry, isomers))


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
