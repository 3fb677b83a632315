"""BRICS fragments and Murcko scaffolds: what chemists would take apart, and what they would call a series.

The measures are those of MOSES: Polykovskiy et al., Frontiers in Pharmacology 11, 565644 (2020), section 4.
"""

from __future__ import annotations

import math
from collections import Counter

from rdkit import Chem
from rdkit.Chem.rdmolops import FragmentOnBRICSBonds


def fragments(mol: Chem.Mol) -> list[str]:
    """SMILES of the pieces that cutting every BRICS bond leaves; the molecule itself if it has none."""
    return str(Chem.MolToSmiles(FragmentOnBRICSBonds(mol))).split(".")


def cosine(ours: Counter[str], theirs: Counter[str]) -> float | None:
    """The cosine of the angle between two vectors of counts; None if one of them is empty."""
    lengths = math.hypot(*ours.values()) * math.hypot(*theirs.values())
    return sum(count * theirs[name] for name, count in ours.items()) / lengths if lengths else None


def total_variation(ours: Counter[str], theirs: Counter[str]) -> float | None:
    """Half the sum of the differences of shares, 0 to 1; None if one of them is empty."""
    if not ours or not theirs:
        return None
    a, b = ours.total(), theirs.total()
    apart = (abs(ours[name] / a - theirs[name] / b) for name in ours.keys() | theirs.keys())
    return math.fsum(apart) / 2  # the same in any order: that of a set of texts changes from process to process
