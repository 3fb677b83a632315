"""GuacaMol's Kullback-Leibler score: how far nine descriptors, and the similarity within the set, are from real ones.

Definitions as in Brown, Fiscato, Segler and Vaucher, J. Chem. Inf. Model. 59, 1096 (2019), section 4.1.4, and the
benchmark's published code: continuous descriptors by Gaussian kernels on 1,000 points, discrete ones by ten bins over
the range of the real values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import Descriptors

Values = NDArray[np.float64]

CONTINUOUS = ("BertzCT", "MolLogP", "MolWt", "TPSA")
DISCRETE = ("NumHAcceptors", "NumHDonors", "NumRotatableBonds", "NumAliphaticRings", "NumAromaticRings")
INTERNAL = "internal similarity"  # of each molecule to the nearest other one of its set, see `similarity`

_POINTS, _BINS = 1000, 10
_BLOCK = 128  # values at a time: (128, 1000) stays in the processor's cache
_FLOOR = 1e-10  # added to each density, so that an empty bin does not make the divergence infinite
_FUNCTIONS = tuple(getattr(Descriptors, name) for name in (*CONTINUOUS, *DISCRETE))


def describe(mol: Chem.Mol) -> list[float]:
    """The nine descriptors, in the order of `CONTINUOUS` and `DISCRETE`."""
    return [float(function(mol)) for function in _FUNCTIONS]


def divergences(generated: Values, real: Values, generated_nearest: Values, real_nearest: Values) -> dict[str, float]:
    """KL(real || generated) in nats, by name: of each column of descriptors (M, 9), and of internal similarity (M,)."""
    found = {
        name: (continuous if name in CONTINUOUS else discrete)(generated[:, k], real[:, k])
        for k, name in enumerate((*CONTINUOUS, *DISCRETE))
    }
    return found | {INTERNAL: continuous(generated_nearest, real_nearest)}


def score(divergences: Sequence[float]) -> float:
    """The mean of exp(-KL): 1 for equal distributions, 0 for such as have nothing in common."""
    return float(np.mean([math.exp(-divergence) for divergence in divergences]))


def continuous(generated: Values, real: Values) -> float:
    """KL(real || generated) of two samples (M,), each smoothed with Gaussian kernels of Scott's width."""
    if min(np.ptp(generated), np.ptp(real)) == 0:  # kernels have no width where nothing varies
        return 0.0 if np.array_equal(np.unique(generated), np.unique(real)) else math.inf
    both = np.concatenate([generated, real])
    points = np.linspace(both.min(), both.max(), _POINTS)
    return _divergence(density(real, points), density(generated, points))


def density(sample: Values, points: Values) -> Values:
    """The density at `points` (P,) that Gaussian kernels on a sample (M,) add up to, as `scipy.stats.gaussian_kde`.

    Their width h is Scott's: the standard deviation of the sample times M^(-1/5).

        p(x) = sum_i exp(-(x - x_i)^2 / 2 h^2) / (M h sqrt(2 pi))
    """
    values, times = np.unique(sample, return_counts=True)  # descriptors repeat
    width = sample.std(ddof=1) * len(sample) ** -0.2
    sums = np.zeros(len(points))
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        sums += times[block] @ np.exp(-0.5 * ((points - values[block, None]) / width) ** 2)
    found: Values = sums / (len(sample) * width * math.sqrt(2 * math.pi))
    return found


def discrete(generated: Values, real: Values) -> float:
    """KL(real || generated) of two samples (M,), in ten equal bins over the range of the real values.

    Generated values outside that range are not counted, as in the benchmark.
    """
    p, edges = np.histogram(real, bins=_BINS, density=True)
    counts = np.histogram(generated, bins=edges)[0]
    return _divergence(p, counts / max(counts.sum(), 1) / np.diff(edges))


def _divergence(p: Values, q: Values) -> float:
    p, q = p + _FLOOR, q + _FLOOR
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())
