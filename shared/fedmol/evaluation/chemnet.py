"""The Frechet ChemNet distance (Preuer et al., J. Chem. Inf. Model. 58, 1736, 2018).

ChemNet's weights are those that its authors' package `fcd` ships, so the figures are the ones that papers print.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Activations = NDArray[np.float64]  # (molecules, 512), of ChemNet's last hidden layer

_CHUNK = 512  # molecules between two reports of progress
_RESAMPLES = 4


def activations(smiles: Sequence[str], times: Sequence[int], on_molecules: Callable[[int], None]) -> Activations:
    """Of the canonical `smiles`, of which number k is there `times[k]` times."""
    import fcd  # brings scipy along

    parts = []
    with warnings.catch_warnings():  # of numpy and of a temporary folder, inside the package
        warnings.simplefilter("ignore")
        network = fcd.load_ref_model()
        for first in range(0, len(smiles), _CHUNK):
            parts.append(fcd.get_predictions(network, list(smiles[first : first + _CHUNK]), n_jobs=0))
            on_molecules(len(parts[-1]))
    found: Activations = np.concatenate(parts).astype(np.float64).repeat(times, axis=0)
    return found


def frechet(ours: Activations, theirs: Activations) -> float:
    """The squared Wasserstein-2 distance of the two normal distributions, which the field calls FCD.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); C1 C2 has the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2).
    """
    c1, c2 = np.cov(ours.T), np.cov(theirs.T)
    values, vectors = np.linalg.eigh(c1)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ c2 @ root).clip(min=0)
    shift = ours.mean(0) - theirs.mean(0)
    return float(shift @ shift + np.trace(c1 + c2) - 2 * np.sqrt(product).sum())


def by_chance(real: Activations, molecules: int) -> float:
    """The FCD to be expected between the real molecules and as many other real ones as `molecules` says.

    Random draws with replacement, set against the whole they come from, lack the chance that is in the whole. FCD
    grows with the reciprocals of both numbers, 1/n + 1/m, of which they show 1/n; hence the factor.
    """
    random = np.random.default_rng(0)
    draws = [real[random.integers(len(real), size=molecules)] for _ in range(_RESAMPLES)]
    return float(np.mean([frechet(draw, real) for draw in draws])) * (1 + molecules / len(real))
