"""The molecules that all contenders are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from fedmol.diffusion import Census, NoiseModel
from fedmol.graphs import Graphs

ATOM_TYPES, BOND_TYPES, MAX_ATOMS = 4, 5, 9  # the reference's own vocabulary
_VALIDATION = 2048  # molecules, or a tenth of all


@dataclass(frozen=True)
class Stock:
    """Molecules in the reference's vocabulary, in random order."""

    source: str
    training: Graphs
    validation: Graphs

    @staticmethod
    def of(source: str, graphs: Graphs) -> Stock:
        held_out = min(_VALIDATION, len(graphs) // 10)
        return Stock(source, graphs[held_out:], graphs[:held_out])

    @property
    def largest(self) -> Graphs:
        """The training molecules of nine atoms, as five of six of QM9's: speed depends on the size and little else."""
        return self.training[self.training.counts == self.training.width]


def load(source: str, limit: int | None) -> Stock:
    """`embedded`, `qm9` or the path of a file; at most `limit` rows of it, chosen at random.

    Raises:
        FedmolError: BAD_DATA, see `fedmol.data.sources.load`.
    """
    from fedmol.chem import vocabulary as vocabularies
    from fedmol.chem.smiles_to_graphs import encode
    from fedmol.data import sources
    from fedmol.settings import DataSettings

    table = sources.load(DataSettings(source=source, limit=limit))
    graphs = encode(table.smiles, vocabularies.get("qm9")).graphs
    order = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(0))
    return Stock.of(source, graphs[order])


def noise_of(graphs: Graphs) -> NoiseModel:
    """The noise that goes with these molecules."""
    return NoiseModel.from_census(Census.take(graphs, ATOM_TYPES, BOND_TYPES, MAX_ATOMS))


def save_graphs(path: Path, graphs: Graphs) -> None:
    """For another process to read with `load_graphs`."""
    torch.save((graphs.atoms, graphs.bonds, graphs.counts), path)


def load_graphs(path: Path) -> Graphs:
    return Graphs(*torch.load(path))
