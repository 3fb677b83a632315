"""How far generated molecules are from real ones in size, atoms, bonds and rings.

The distance is the total variation: half the sum of the absolute differences of two histograms, 0 for equal ones, 1
for disjoint ones. What is counted has an order for sizes and rings; for these the Wasserstein-1 distance is given as
well, in atoms or rings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from fedmol.chem.graphs_to_molecules import molecule
from fedmol.chem.vocabulary import Vocabulary
from fedmol.graphs import Graphs

Counts = NDArray[np.int64]  # (molecules, classes): how often each class occurs in each molecule
Shares = NDArray[np.float64]  # (classes,)

_SMALLEST_RING, _LARGEST_RING = 3, 9  # the last class takes every larger ring
_MOST_RINGS = 7  # likewise
_RESAMPLES = 32


@dataclass(frozen=True)
class Distance:
    """One distribution in generated and in real molecules."""

    name: str
    unit: str  # what one entry of the histogram is
    labels: tuple[str, ...]
    generated: tuple[float, ...]  # shares, one per label
    real: tuple[float, ...]
    total_variation: float
    by_chance: float  # total variation expected of as many molecules drawn from the real ones
    wasserstein: float | None  # None where the classes have no order


@dataclass(frozen=True)
class _Histogram:
    unit: str
    labels: tuple[str, ...]
    counts: Counts
    ordered: bool


def distances(generated: Graphs, real: Graphs, vocabulary: Vocabulary) -> tuple[Distance, ...]:
    """The distances between two sets of graphs; every graph counts, valid or not (as in the reference).

    Bonds are those that are there: "no bond" is left out. Rings are those of a smallest set of smallest rings.
    """
    ours, theirs = _histograms(generated, vocabulary), _histograms(real, vocabulary)
    return tuple(_distance(name, ours[name], theirs[name]) for name in ours)


def _histograms(graphs: Graphs, vocabulary: Vocabulary) -> dict[str, _Histogram]:
    atoms, bonds, counts = (part.cpu().numpy() for part in (graphs.atoms, graphs.bonds, graphs.counts))
    mask = graphs.atom_mask.cpu().numpy()
    sizes = vocabulary.max_atoms
    of_atoms = [((atoms == k) & mask).sum(1) for k in range(len(vocabulary.atoms))]
    of_bonds = [(bonds == k).sum((1, 2)) // 2 for k in range(1, len(vocabulary.bonds))]
    rings = _ring_sizes(graphs, vocabulary)
    ring_labels = _with_more(range(_SMALLEST_RING, _LARGEST_RING + 1))
    return {
        "size": _Histogram(
            "heavy atoms per molecule", tuple(map(str, range(1, sizes + 1))), _one_hot(counts, 1, sizes), True
        ),
        "atoms": _Histogram("atoms by type", tuple(vocabulary.atom_labels), np.stack(of_atoms, 1), False),
        "bonds": _Histogram("bonds by type", vocabulary.bonds[1:], np.stack(of_bonds, 1), False),
        "ring sizes": _Histogram("rings by size", ring_labels, rings, True),
        "rings": _Histogram(
            "rings per molecule", _with_more(range(_MOST_RINGS + 1)), _one_hot(rings.sum(1), 0, _MOST_RINGS), True
        ),
    }


def _with_more(values: range) -> tuple[str, ...]:
    *inner, last = map(str, values)
    return (*inner, f"{last}+")


def _one_hot(values: NDArray[np.int64], low: int, high: int) -> Counts:
    clipped = np.clip(values, low, high)
    classes: Counts = (clipped[:, None] == np.arange(low, high + 1)).astype(np.int64)
    return classes  # (M, high - low + 1)


def _ring_sizes(graphs: Graphs, vocabulary: Vocabulary) -> Counts:
    atoms, bonds = graphs.atoms.cpu().numpy(), graphs.bonds.cpu().numpy()
    counts = np.zeros((len(graphs), _LARGEST_RING - _SMALLEST_RING + 1), np.int64)
    for row, n in enumerate(graphs.counts.tolist()):
        for ring in Chem.GetSSSR(molecule(atoms[row, :n], bonds[row, :n, :n], vocabulary)):
            counts[row, min(len(ring), _LARGEST_RING) - _SMALLEST_RING] += 1
    return counts


def _distance(name: str, generated: _Histogram, real: _Histogram) -> Distance:
    ours, theirs = _shares(generated.counts), _shares(real.counts)
    return Distance(
        name=name,
        unit=real.unit,
        labels=real.labels,
        generated=tuple(ours.tolist()),
        real=tuple(theirs.tolist()),
        total_variation=total_variation(ours, theirs),
        by_chance=_by_chance(real.counts, len(generated.counts)),
        wasserstein=wasserstein(ours, theirs) if real.ordered else None,
    )


def _shares(counts: Counts) -> Shares:
    pooled = counts.sum(0).astype(np.float64)  # (classes,)
    shares: Shares = pooled / max(pooled.sum(), 1)
    return shares


def total_variation(p: Shares, q: Shares) -> float:
    """Half the L1 distance of two histograms of shares; 1 if just one of them is empty."""
    if p.any() != q.any():
        return 1.0
    return float(np.abs(p - q).sum() / 2)


def wasserstein(p: Shares, q: Shares) -> float:
    """Wasserstein-1 distance of two histograms over consecutive integers, in units of the integers."""
    return float(np.abs(np.cumsum(p - q)[:-1]).sum())


def _by_chance(counts: Counts, molecules: int) -> float:
    """Mean total variation to the whole of random draws of that many molecules, drawn with replacement."""
    if not len(counts):
        return 0.0
    random = np.random.default_rng(0)
    draws = (counts[random.integers(len(counts), size=molecules)] for _ in range(_RESAMPLES))
    whole = _shares(counts)
    return float(np.mean([total_variation(_shares(draw), whole) for draw in draws]))
