"""What became of each generated graph: a molecule that is valid or not, and why not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rdkit import Chem, rdBase

from fedmol.chem.graphs_to_molecules import Reading, molecule, read_graphs
from fedmol.chem.scaffold_query import ScaffoldQuery
from fedmol.chem.stereo import Stereoisomers, stereoisomers
from fedmol.chem.vocabulary import Vocabulary
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs

IN_PIECES = "more than one fragment"
NO_SCAFFOLD = "without the scaffold as it was asked for"


@dataclass(frozen=True)
class Molecule:
    """One generated molecule, valid or not.

    `smiles` is canonical and without stereo. Of several fragments it is the largest. Where the molecule is not valid it
    is that of the relaxed reading, in which nitrogen and oxygen with one bond too many carry a charge, or "".

    Example:
        >>> ethanol = Molecule("CCO", valid=True, relaxed=True, connected=True, novel=None, reason="")
        >>> ethanol.mol.GetNumAtoms()
        3
    """

    smiles: str
    valid: bool  # obeys valence as it stands, and contains the scaffold that was asked for
    relaxed: bool  # the same with those charges
    connected: bool  # one fragment
    novel: bool | None  # not among the known molecules; None where none were named, or it is not valid
    reason: str  # why it is not valid, "" if it is

    @property
    def mol(self) -> Chem.Mol:
        """The molecule for RDKit, made anew at each call.

        Raises:
            FedmolError: USAGE if the molecule has no SMILES.
        """
        if not self.smiles:
            raise FedmolError(
                Exit.USAGE, f"this molecule cannot be written as SMILES: {self.reason}", "look at the valid ones alone"
            )
        return Chem.MolFromSmiles(self.smiles)

    def stereoisomers(self, most: int = 16) -> Stereoisomers:
        """Up to `most` (1 to 1,024) of its stereoisomers, see `fedmol.chem.stereo`: models know no stereo.

        What is not valid stands for itself, and is not counted.
        """
        return stereoisomers(self.smiles, most) if self.valid else Stereoisomers((self.smiles,), None)


def molecules_of(
    graphs: Graphs,
    vocabulary: Vocabulary,
    known: Collection[str] | None = None,
    scaffold: ScaffoldQuery | None = None,
) -> list[Molecule]:
    """One molecule per graph, in order.

    `known` holds canonical SMILES; valid molecules that are not among them are novel. With a `scaffold` only molecules
    in one piece in which it is found are valid.
    """
    readings = read_graphs(graphs, vocabulary)
    return [_molecule_of(graphs, row, reading, vocabulary, known, scaffold) for row, reading in enumerate(readings)]


def _molecule_of(
    graphs: Graphs,
    row: int,
    reading: Reading,
    vocabulary: Vocabulary,
    known: Collection[str] | None,
    scaffold: ScaffoldQuery | None,
) -> Molecule:
    smiles = reading.smiles or reading.relaxed or ""
    misfit = _misfit(smiles, reading.connected, scaffold)
    valid = reading.smiles is not None and not misfit
    return Molecule(
        smiles=smiles,
        valid=valid,
        relaxed=reading.relaxed is not None and not misfit,
        connected=reading.connected,
        novel=None if known is None or not valid else smiles not in known,
        reason="" if valid else misfit if reading.smiles is not None else _flaw(graphs, row, vocabulary),
    )


def _misfit(smiles: str, connected: bool, scaffold: ScaffoldQuery | None) -> str:
    """Why a molecule is not what the scaffold asks for, "" if it is. In pieces, one of them may be what matters."""
    if scaffold is None:
        return ""
    if not connected:
        return IN_PIECES
    return "" if scaffold.within(smiles) else NO_SCAFFOLD


def _flaw(graphs: Graphs, row: int, vocabulary: Vocabulary) -> str:
    """What RDKit says against a graph."""
    n = int(graphs.counts[row])
    atoms, bonds = graphs.atoms[row, :n].cpu().numpy(), graphs.bonds[row, :n, :n].cpu().numpy()
    with rdBase.BlockLogs():
        found = Chem.DetectChemistryProblems(molecule(atoms, bonds, vocabulary))
    return str(found[0].Message()) if found else "no atoms"
