"""Generated molecules as chemists expect to find them: SMILES line by line, a table, or 2D structures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor

from fedmol.chem.reading import Reading, molecule, read_graphs
from fedmol.chem.vocabulary import Vocabulary
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs

IN_PIECES = "more than one fragment"


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
    graphs: Graphs, vocabulary: Vocabulary, known: Collection[str] | None = None, whole: bool = False
) -> list[Entry]:
    """One entry per graph, in order. With `whole` a molecule in pieces is not valid: one of them may be what matters.

    `known` holds canonical SMILES; valid molecules that are not among them are novel.
    """
    readings = read_graphs(graphs, vocabulary)
    return [_entry(graphs, row, reading, vocabulary, known, whole) for row, reading in enumerate(readings)]


def _entry(
    graphs: Graphs, row: int, reading: Reading, vocabulary: Vocabulary, known: Collection[str] | None, whole: bool
) -> Entry:
    accepted = reading.connected or not whole
    smiles = reading.smiles or reading.relaxed or ""
    valid = reading.smiles is not None and accepted
    return Entry(
        smiles=smiles,
        valid=valid,
        relaxed=reading.relaxed is not None and accepted,
        connected=reading.connected,
        novel=None if known is None or not valid else smiles not in known,
        reason="" if valid else IN_PIECES if reading.smiles is not None else _flaw(graphs, row, vocabulary),
    )


def _flaw(graphs: Graphs, row: int, vocabulary: Vocabulary) -> str:
    """What RDKit says against a graph."""
    n = int(graphs.counts[row])
    atoms, bonds = graphs.atoms[row, :n].cpu().numpy(), graphs.bonds[row, :n, :n].cpu().numpy()
    with rdBase.BlockLogs():
        found = Chem.DetectChemistryProblems(molecule(atoms, bonds, vocabulary))
    return str(found[0].Message()) if found else "no atoms"


@dataclass(frozen=True)
class Listing:
    """A file format: what stands at the top, and what stands for an entry ("" where it is left out)."""

    head: str
    entry: Callable[[Entry], str]


def listing(path: Path) -> Listing:
    """The format that the suffix of `path` asks for. Only tables have the invalid ones.

    Raises:
        FedmolError: USAGE for a suffix that is none of .smi, .csv and .sdf.
    """
    if path.suffix not in _LISTINGS:
        raise FedmolError(
            Exit.USAGE,
            f"{path} does not say in which format molecules are to be written",
            f"end its name in one of {', '.join(_LISTINGS)}",
        )
    return _LISTINGS[path.suffix]


def _smiles_line(entry: Entry) -> str:
    return f"{entry.smiles}\n" if entry.valid else ""


_COLUMNS = ("smiles", "valid", "relaxed", "connected", "novel", "reason")


def _row(entry: Entry) -> str:
    flags = map(_flag, (entry.valid, entry.relaxed, entry.connected, entry.novel))
    return _line(entry.smiles, *flags, entry.reason)


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def _line(*cells: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _structure(entry: Entry) -> str:
    if not entry.valid:
        return ""
    mol = Chem.MolFromSmiles(entry.smiles)
    rdDepictor.Compute2DCoords(mol)
    mol.SetProp("_Name", entry.smiles)
    novel = "" if entry.novel is None else f"> <novel>\n{_flag(entry.novel)}\n\n"
    return f"{Chem.MolToMolBlock(mol)}> <smiles>\n{entry.smiles}\n\n{novel}$$$$\n"


_LISTINGS = {
    ".smi": Listing("", _smiles_line),
    ".csv": Listing(_line(*_COLUMNS), _row),
    ".sdf": Listing("", _structure),
}
