"""What the measures of resemblance look at, taken once of each different molecule of a set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from fedmol.chem.scaffolds import scaffold
from fedmol.evaluation import similarity
from fedmol.evaluation.brics import fragments
from fedmol.evaluation.descriptors import describe
from fedmol.evaluation.similarity import Bits, fingerprint

_SEVERAL_RINGS = 2  # MOSES compares scaffolds of at least so many


@dataclass(frozen=True)
class Profile:
    """`smiles[k]` came `times[k]` times; counters count every time."""

    smiles: tuple[str, ...]  # different and canonical
    times: tuple[int, ...]
    descriptors: NDArray[np.float64]  # (M, 9)
    bits: Bits  # (M, 4096)
    fragments: Counter[str]
    scaffolds: Counter[str]  # of all molecules; "" is that of one without a ring
    large_scaffolds: Counter[str]  # of those with at least two rings

    @cached_property
    def short_bits(self) -> Bits:
        return similarity.folded(self.bits)

    @property
    def molecules(self) -> int:
        return sum(self.times)


def profile(smiles: Sequence[str], on_molecules: Callable[[int], None] = lambda _: None) -> Profile:
    """Of canonical SMILES that RDKit can read, at least one. `on_molecules` is told how many more are done."""
    tally = Counter(smiles)
    descriptors, bits = [], []
    pieces, series, large = Counter[str](), Counter[str](), Counter[str]()
    with rdBase.BlockLogs():
        for text, times in tally.items():
            mol = Chem.MolFromSmiles(text)
            descriptors.append(describe(mol))
            bits.append(fingerprint(mol))
            _add(pieces, fragments(mol), times)
            core = [scaffold(text) or ""]
            _add(series, core, times)
            if mol.GetRingInfo().NumRings() >= _SEVERAL_RINGS:
                _add(large, core, times)
            on_molecules(1)
    return Profile(tuple(tally), tuple(tally.values()), np.array(descriptors), np.stack(bits), pieces, series, large)


def _add(counter: Counter[str], names: Collection[str], times: int) -> None:
    for name in names:
        counter[name] += times
