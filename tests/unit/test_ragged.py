"""Ragged graphs are the dense ones without their padding."""

from __future__ import annotations

import pytest
import torch

from fedmol.chem import vocabulary
from fedmol.chem.smiles_to_graphs import encode
from fedmol.data.embedded import embedded
from fedmol.diffusion import Census, NoiseModel
from fedmol.ragged import EMPTY, RaggedGraphs, concatenated, ragged
from fedmol.training.batches import HostBatches
from tests.support.random_graphs import same

CHARGED = vocabulary.get("qm9-charged")
RAGGED = encode(["C", *embedded()[:200], "O"], CHARGED).ragged
SIZES = len(CHARGED.atoms), len(CHARGED.bonds), CHARGED.max_atoms


_BOND_TWICE = [
    ([2], torch.int64),
    ([0, 0], torch.int16),
    ([2], torch.int64),
    ([[0, 1], [0, 1]], torch.int16),
    ([[1, 1], [1, 1]], torch.int8),
]


def test_there_and_back() -> None:
    assert same(ragged(RAGGED.dense()), RAGGED)
    assert same(ragged(RAGGED.dense().widened(30)), RAGGED)
    assert same(EMPTY.dense(), ragged(EMPTY.dense()).dense())


@pytest.mark.parametrize(
    "rows", [slice(3, 9), torch.tensor([7, 0, 7, 201]), torch.arange(202) % 3 == 0, torch.tensor([], dtype=torch.int64)]
)
def test_rows_are_those_of_the_dense_ones(rows: torch.Tensor | slice) -> None:
    expected = RAGGED.dense()[rows].trimmed()
    assert same(RAGGED[rows], expected)
    assert same(RAGGED.select(rows).dense(), expected)
    assert RAGGED.select(rows).fits()


@pytest.mark.parametrize("rows", [slice(3, 9), slice(None), slice(5, 2), slice(-3, None), slice(200, 900)])
def test_a_slice_is_a_view(rows: slice) -> None:
    part = RAGGED.select(rows)
    assert same(part, RAGGED.select(torch.arange(len(RAGGED))[rows]))
    assert part.atoms.untyped_storage().data_ptr() == RAGGED.atoms.untyped_storage().data_ptr()


def test_graphs_are_within_their_own_vocabulary_and_not_within_a_smaller_one() -> None:
    most = int(RAGGED.counts.max())
    used = int(RAGGED.atoms.max()) + 1, int(RAGGED.bonds.max()) + 1, most
    assert RAGGED.within(*used)
    assert EMPTY.within(*used)
    assert not any(RAGGED.within(*(size - (k == n) for k, size in enumerate(used))) for n in range(3))
    twice = RaggedGraphs(*(torch.tensor(values, dtype=kind) for values, kind in _BOND_TWICE))
    assert twice.fits()
    assert not twice.within(*used)


def test_parts_put_together_are_the_whole() -> None:
    assert same(concatenated([RAGGED.select(slice(50)), EMPTY, RAGGED.select(slice(50, None))]), RAGGED)
    blocks = list(RAGGED.blocks(64))
    assert {block.width for block in blocks} == {RAGGED.width}
    assert torch.equal(torch.cat([block.bonds for block in blocks]), RAGGED.dense().bonds)


def test_the_census_is_that_of_the_dense_ones() -> None:
    dense = RAGGED.dense()
    counted = torch.bincount(dense.bonds[dense.pair_mask].long(), minlength=SIZES[1])
    census = Census.take(RAGGED, *SIZES)
    assert torch.equal(census.bonds, counted)
    assert census.to_json() == Census.take(dense, *SIZES).to_json()


def test_batches_are_those_of_the_dense_ones() -> None:
    noise = NoiseModel.from_census(Census.take(RAGGED, *SIZES))
    drawn = []
    for graphs in (RAGGED, RAGGED.dense()):
        batches = HostBatches(graphs, noise, 16)
        batches.seed(5)
        drawn.append(batches.draw())
    ours, theirs = drawn
    assert same(ours.clean, theirs.clean)
    assert len(ours.parts) == len(theirs.parts)
    for one, other in zip(ours.parts, theirs.parts, strict=True):
        assert same(one.noisy, other.noisy)
        assert torch.equal(one.times, other.times)
