from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from fedmol.diffusion import Census, NoiseModel
from fedmol.graphs import Graphs
from fedmol.training.batches import ATOM, Batch, DeviceBatches, HostBatches, cut_by_size
from fedmol.training.ranks import ALONE, Ranks


def graphs_of(sizes: list[int]) -> Graphs:
    width = max(sizes)
    generator = torch.Generator().manual_seed(0)
    atoms = torch.randint(4, (len(sizes), width), generator=generator, dtype=torch.int8)
    bonds = torch.randint(3, (len(sizes), width, width), generator=generator, dtype=torch.int8).triu(1)
    graphs = Graphs(atoms, bonds + bonds.mT, torch.tensor(sizes))
    return Graphs(atoms * graphs.atom_mask, graphs.bonds * graphs.pair_mask, graphs.counts)


GRAPHS = graphs_of([3, 4, 9, 9, 20, 38, 40, 42])
NOISE = NoiseModel.from_census(Census.take(GRAPHS, 4, 3, 42))


PASS = 3_500


def time(groups: list[torch.Tensor], sizes: torch.Tensor) -> int:
    widest = [int(sizes[group].max()) for group in groups]
    return sum(PASS + len(group) * n * (n + ATOM) for group, n in zip(groups, widest, strict=True))


def test_groups_hold_every_row_once_and_are_ordered_by_size() -> None:
    sizes = torch.randint(2, 43, (300,), generator=torch.Generator().manual_seed(1))
    groups = cut_by_size(sizes, PASS)
    assert sorted(torch.cat(groups).tolist()) == list(range(300))
    assert all(sizes[one].max() < sizes[other].min() for one, other in pairwise(groups))
    assert time(groups, sizes) < 0.75 * time([torch.arange(300)], sizes)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_cut_is_faster(seed: int) -> None:
    sizes = torch.randint(2, 60, (40,), generator=torch.Generator().manual_seed(seed))
    borders = sorted(set(sizes.tolist()))[1:]
    least = time(cut_by_size(sizes, PASS), sizes)
    for one in borders:
        for other in borders:
            levels = (sizes >= one).long() + (sizes >= other).long()
            cut = [rows for level in range(3) if len(rows := (levels == level).nonzero()[:, 0])]
            assert least <= time(cut, sizes)


def test_small_molecules_of_like_size_stay_together() -> None:
    sizes = torch.tensor([9] * 100 + [8] * 20 + [7] * 8)
    (group,) = cut_by_size(sizes, PASS)
    assert torch.equal(group, torch.arange(128))  # in the order in which they were drawn


Kind = type[HostBatches] | type[DeviceBatches]


def draw(kind: Kind, ranks: Ranks = ALONE, batch_size: int = 64, seed: int = 7) -> Batch:
    batches = kind(GRAPHS, NOISE, batch_size, ranks)
    batches.seed(seed)
    return batches.draw()


@pytest.mark.parametrize("kind", [HostBatches, DeviceBatches])
def test_all_ranks_together_have_the_batch_of_one(kind: Kind) -> None:
    whole = draw(kind)
    shares = [draw(kind, Ranks(rank, 3)) for rank in range(3)]
    assert sorted(sum(len(part.clean) for part in share.parts) for share in shares) == [21, 21, 22]
    for share in shares:
        assert torch.equal(share.clean.atoms, whole.clean.atoms)
    together = sorted(row for share in shares for part in share.parts for row in rows_of(part))
    assert together == sorted(row for part in whole.parts for row in rows_of(part))


@pytest.mark.parametrize("kind", [HostBatches, DeviceBatches])
def test_parts_are_wide_enough_and_a_seed_names_the_batch(kind: Kind) -> None:
    for part in draw(kind).parts:
        assert part.clean.counts.max() <= part.clean.width
        assert not part.clean.atoms[~part.clean.atom_mask].any()
        assert part.times.min() >= 0
    same, other = draw(kind), draw(kind, seed=8)
    assert [rows_of(part) for part in same.parts] == [rows_of(part) for part in draw(kind).parts]
    assert [rows_of(part) for part in same.parts] != [rows_of(part) for part in other.parts]


@pytest.mark.parametrize("batch_size", [3, 7, 8, 20])
def test_on_a_device_every_molecule_is_drawn_as_often_as_any_other(batch_size: int) -> None:
    batches = DeviceBatches(GRAPHS, NOISE, batch_size)
    batches.seed(0)
    draws = 2000
    drawn = torch.cat([batches.draw().clean.counts for _ in range(draws)])
    sizes, amounts = torch.unique(GRAPHS.counts, return_counts=True)
    expected = amounts / len(GRAPHS) * draws * batch_size
    found = torch.stack([(drawn == size).sum() for size in sizes])
    assert (abs(found - expected) < 5 * expected.sqrt()).all()


def test_on_a_device_shapes_never_change() -> None:
    batches = DeviceBatches(graphs_of([3] * 40_000 + [20] * 20_000 + [42] * 4_000), NOISE, 6_000)
    batches.seed(1)
    shapes = [[(len(part.clean), part.clean.width) for part in batches.draw().parts] for _ in range(3)]
    assert shapes[0] == shapes[1] == shapes[2]
    assert len(shapes[0]) > 1  # molecules of like size share a part


def rows_of(part) -> list[tuple[object, ...]]:  # type: ignore[no-untyped-def]
    """Each molecule of a part as something that can be compared, without its padding."""
    return [
        (count, time, part.noisy.atoms[k, :count].tolist(), part.noisy.bonds[k, :count, :count].tolist())
        for k, (count, time) in enumerate(zip(part.clean.counts.tolist(), part.times.tolist(), strict=True))
    ]
