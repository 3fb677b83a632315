"""Dealing molecules out to sites, for simulations: IID, uneven, by scaffold, Dirichlet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedmol.chem.scaffolds import scaffolds
from fedmol.chem.smiles_to_graphs import canonical_smiles, written
from fedmol.chem.vocabulary import Vocabulary
from fedmol.data.molecule_files import Table
from fedmol.data.parallel import in_blocks
from fedmol.errors import Exit, FedmolError
from fedmol.settings import Dirichlet, Iid, ScaffoldSplit, Split, Uneven

Indices = NDArray[np.int64]
T = TypeVar("T")


def sizes_of(total: int, weights: Sequence[float]) -> list[int]:
    """`total` divided in the proportion of `weights`, by largest remainder."""
    exact = [total * Fraction(weight) / sum(map(Fraction, weights)) for weight in weights]
    sizes = [int(share) for share in exact]
    order = sorted(range(len(weights)), key=lambda site: (sizes[site] - exact[site], site))
    for site in order[: total - sum(sizes)]:
        sizes[site] += 1
    return sizes


def _shuffled(total: int, weights: Sequence[float], rng: np.random.Generator) -> list[Indices]:
    bounds = np.cumsum(sizes_of(total, weights))[:-1]
    return np.split(rng.permutation(total), bounds)


def _groups(scaffolds: Iterable[str | None], rng: np.random.Generator) -> list[Indices]:
    """Rows by Murcko scaffold, in random order; a row that cannot be read is a group of its own."""
    members: dict[str, list[int]] = {}
    for row, scaffold in enumerate(scaffolds):
        members.setdefault(f"?{row}" if scaffold is None else scaffold, []).append(row)
    groups = [np.array(rows, np.int64) for rows in members.values()]
    return [groups[k] for k in rng.permutation(len(groups))]


def _whole_groups(groups: list[Indices], targets: list[int]) -> list[Indices]:
    """Largest group first, each to the site that still lacks most."""
    room = list(targets)
    dealt: list[list[Indices]] = [[] for _ in targets]
    for group in sorted(groups, key=len, reverse=True):
        site = max(range(len(room)), key=room.__getitem__)
        dealt[site].append(group)
        room[site] -= len(group)
    return [np.concatenate([*parts, np.zeros(0, np.int64)]) for parts in dealt]


def _spread(groups: list[Indices], sites: int, alpha: float, rng: np.random.Generator) -> list[Indices]:
    """Each group is spread by its own draw of site probabilities from Dirichlet(alpha)."""
    rows = np.concatenate(groups)
    shares = np.nan_to_num(rng.dirichlet(np.full(sites, min(alpha, 1e9)), len(groups)))  # (groups, sites)
    # A minute alpha underflows to all zeros: its limit is one site per group.
    empty = shares.sum(1) == 0
    shares[empty] = np.eye(sites)[rng.integers(sites, size=int(empty.sum()))]
    edges = np.repeat(np.cumsum(shares, axis=1), [len(group) for group in groups], axis=0)  # (rows, sites)
    edges[:, -1] = 1.0
    site = (rng.random(len(rows))[:, None] >= edges).sum(1)
    return [rows[site == k] for k in range(sites)]


def _all(of: Callable[[Sequence[str]], list[T]], smiles: Sequence[str]) -> Iterator[T]:
    return chain.from_iterable(in_blocks(of, smiles))


def _weights(split: Uneven | ScaffoldSplit, sites: int) -> Sequence[float]:
    weights = split.sizes or (1.0,) * sites
    if len(weights) != sites:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"the split names {len(weights)} sizes for {sites} sites",
            "give one relative size per site",
        )
    if not np.isfinite(sum(weights)):
        raise FedmolError(Exit.BAD_SETTINGS, "the sizes of the split are too large to be added up", "give smaller ones")
    return weights


def split(smiles: Sequence[str], how: Split, sites: int, seed: int) -> list[Indices]:
    """Row indices per site, ascending; every row goes to exactly one site, and equal arguments give equal results.

    Raises:
        FedmolError: BAD_SETTINGS if the sizes do not fit the sites, BAD_DATA if a site would stay empty.
    """
    rng = np.random.default_rng(seed)
    match how:
        case Iid():
            parts = _shuffled(len(smiles), (1.0,) * sites, rng)
        case Uneven():
            parts = _shuffled(len(smiles), _weights(how, sites), rng)
        case ScaffoldSplit():
            targets = sizes_of(len(smiles), _weights(how, sites))
            parts = _whole_groups(_groups(_all(scaffolds, smiles), rng), targets)
        case Dirichlet():
            parts = _spread(_groups(_all(scaffolds, smiles), rng), sites, how.alpha, rng) if smiles else []
    filled = sum(len(part) > 0 for part in parts)
    if filled < sites:
        raise FedmolError(
            Exit.BAD_DATA,
            f"the split {how.kind!r} of {len(smiles)} molecules leaves {sites - filled} of {sites} sites without any",
            "use more molecules, fewer sites, less uneven sizes or a larger alpha",
        )
    return [np.sort(part).astype(np.int64) for part in parts]


def names(smiles: Sequence[str]) -> list[str]:
    """The canonical SMILES of each row, its own text where it cannot be read."""
    return [text if name is None else name for text, name in zip(smiles, _all(canonical_smiles, smiles), strict=True)]


def readable(table: Table, vocabulary: Vocabulary) -> tuple[list[str], dict[str, list[int]]]:
    """Canonical SMILES of the rows that hold a molecule, by the vocabulary's recipe, and the other rows by reason."""
    known, rejected = list[str](), dict[str, list[int]]()
    of = partial(written, recipe=vocabulary.recipe, most_atoms=vocabulary.max_atoms)
    for row, (name, reason) in enumerate(_all(of, table.smiles)):
        if name is None:
            rejected.setdefault(table.faults.get(row, reason), []).append(row)
        else:
            known.append(name)
    return known, rejected


def holdout(names: Sequence[str], share: float, seed: int) -> tuple[Indices, Indices]:
    """Row indices (kept, held out): `share` of the different molecules, at least one, by a hash of seed and molecule.

    All rows of one name go to the same side; `names` gives those that do not depend on how a SMILES is written, so that
    no held-out molecule is trained on.

    Raises:
        FedmolError: BAD_DATA if there are fewer than two different molecules.
    """
    different = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    if len(different) < 2:
        raise FedmolError(
            Exit.BAD_DATA,
            f"{len(different)} different molecules cannot be split into training and test",
            "use a source with more",
        )
    chosen = set(different[: min(max(round(share * len(different)), 1), len(different) - 1)])
    out = np.array([name in chosen for name in names])
    return np.flatnonzero(~out), np.flatnonzero(out)
