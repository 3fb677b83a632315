"""Tanimoto similarities of Morgan fingerprints (radius 2): within a set, and to the nearest molecule of another set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from torch import Tensor

Bits = NDArray[np.uint8]  # (molecules, bits)
Values = NDArray[np.float64]

LONG, SHORT = 4096, 1024  # bits: GuacaMol's and MOSES's
_ROWS = 1024  # of a block of the table of similarities

_GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=LONG)


def fingerprint(mol: Chem.Mol) -> Bits:
    """`LONG` bits."""
    bits: Bits = _GENERATOR.GetFingerprintAsNumPy(mol)
    return bits


def folded(bits: Bits) -> Bits:
    """The `SHORT` fingerprints of the same molecules: RDKit puts a feature at its hash modulo the number of bits."""
    short: Bits = bits.reshape(len(bits), LONG // SHORT, SHORT).max(1)
    return short


def nearest(ours: Bits, theirs: Bits) -> Values:
    """The similarity of each of ours to the nearest of theirs: (M,)."""
    columns = torch.from_numpy(theirs).float()
    found = [_tanimoto(rows, columns).amax(1) for rows in torch.split(torch.from_numpy(ours).float(), _ROWS)]
    return _values(torch.cat(found))


def nearest_other(bits: Bits) -> Values:
    """The similarity of each molecule to the nearest other one of the same set: (M,); 0 where there is no other."""
    all_rows = torch.from_numpy(bits).float()
    best = torch.zeros(len(bits))
    for first in range(0, len(bits), _ROWS):  # the table is symmetric: each block serves its rows and its columns
        rows = all_rows[first : first + _ROWS]
        block = _tanimoto(rows, all_rows[first:]).fill_diagonal_(0)
        best[first : first + _ROWS] = torch.maximum(best[first : first + _ROWS], block.amax(1))
        best[first:] = torch.maximum(best[first:], block.amax(0))
    return _values(best)


def mean_similarity(bits: Bits, times: Sequence[int]) -> float:
    """The mean over all ordered pairs, each molecule with itself included; molecule k is there `times[k]` times."""
    columns = torch.from_numpy(bits).float()
    weights = torch.tensor(times, dtype=torch.float32) / sum(times)  # (M,)
    means = [_tanimoto(rows, columns) @ weights for rows in torch.split(columns, _ROWS)]
    return float(torch.cat(means).double() @ weights.double())


def _tanimoto(rows: Tensor, columns: Tensor) -> Tensor:
    """(rows, columns) of 0s and 1s, which float32 adds up exactly."""
    common = rows @ columns.T
    either = (rows.sum(1)[:, None] + columns.sum(1)).sub_(common).clamp_(min=1)
    return common.div_(either)


def _values(found: Tensor) -> Values:
    values: Values = found.double().numpy()
    return values
