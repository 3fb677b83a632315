"""SMILES -> graphs, and what is to be told of them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from rdkit import rdBase

from fedmol.chem.molecule_codes import Block, code_block
from fedmol.chem.normal_form import MOST_ATOMS, RejectedError
from fedmol.chem.standardise import read_by
from fedmol.chem.vocabulary import Recipe, Vocabulary
from fedmol.graphs import Graphs
from fedmol.ragged import EMPTY, RaggedGraphs, concatenated


@dataclass(frozen=True)
class Encoded:
    """Graphs of the molecules that fit, and why the others do not."""

    ragged: RaggedGraphs
    smiles: list[str]  # canonical, without stereo, one per graph
    scaffolds: list[str]  # of Murcko, one per graph; "" without a ring
    rows: array[int]  # index into the input, one per graph
    originals: dict[int, str] = field(default_factory=dict)  # graph -> canonical SMILES it had, if more or other
    dropped: dict[str, list[int]] = field(default_factory=dict)  # what was dropped -> graphs
    changed: dict[str, list[int]] = field(default_factory=dict)  # what standardising changed -> graphs
    rejected: dict[str, list[int]] = field(default_factory=dict)  # reason -> indices into the input

    @property
    def graphs(self) -> Graphs:
        """All of them in one batch, as wide as the largest."""
        return self.ragged.dense()


def encode(smiles: Sequence[str], vocabulary: Vocabulary) -> Encoded:
    """The graphs of all molecules that fit the vocabulary; see `fedmol.chem.normal_form` for how they are read.

    A molecule is kept only if its graph reads back as the same canonical SMILES; with a vocabulary of neutral atoms
    charges are dropped, and `Encoded.smiles` then says what the graph says (the molecule's own SMILES where the neutral
    graph breaks valence). Each of the others is rejected with its reason.
    """
    return joined([code_block(smiles, vocabulary)])


def joined(blocks: Iterable[Block]) -> Encoded:
    """What the blocks hold, in their order."""
    graphs, encoded, first = list[RaggedGraphs](), Encoded(EMPTY, [], [], array("q")), 0
    for block in blocks:
        before = len(encoded.smiles)
        graphs.append(_ragged(block))
        encoded.smiles.extend(block.smiles)
        encoded.scaffolds.extend(map(sys.intern, block.scaffolds))
        encoded.rows.extend(first + row for row in block.rows)
        encoded.originals.update((before + place, smiles) for place, smiles in block.originals.items())
        for kind, told in ((encoded.dropped, block.dropped), (encoded.changed, block.changed)):
            for what, places in told.items():
                kind.setdefault(what, []).extend(before + place for place in places)
        for reason, rows in block.rejected.items():
            encoded.rejected.setdefault(reason, []).extend(first + row for row in rows)
        first += block.read
    return replace(encoded, ragged=concatenated([EMPTY, *graphs]))


def _ragged(block: Block) -> RaggedGraphs:
    counts, atoms, bond_counts, ends, bonds = map(
        torch.from_numpy, (block.counts, block.atoms, block.bond_counts, block.ends, block.bonds)
    )
    half_edges = bonds[:, None].repeat(1, 2)  # a bond of atoms looks the same from both ends
    return RaggedGraphs(counts.long(), atoms, bond_counts.long(), ends, half_edges)


def canonical_smiles(smiles: Sequence[str]) -> list[str | None]:
    """Canonical SMILES in normal form of each; None for what any vocabulary rejects."""
    return [name for name, _ in written(smiles)]


def written(
    smiles: Sequence[str], recipe: Recipe = "none", most_atoms: int = MOST_ATOMS
) -> list[tuple[str, str] | tuple[None, str]]:
    """The canonical SMILES of each by the recipe, see `fedmol.chem.standardise`; or None, and why it is rejected."""

    def canonical(text: str) -> tuple[str, str] | tuple[None, str]:
        try:
            return read_by(recipe, text, most_atoms)[0].smiles, ""
        except RejectedError as reason:
            return None, str(reason)

    with rdBase.BlockLogs():
        return [canonical(text) for text in smiles]
