from __future__ import annotations

import math
from collections import Counter

import pytest
from rdkit import Chem

from fedmol.evaluation.brics import cosine, fragments, total_variation


def test_fragments_are_cut_at_brics_bonds() -> None:
    assert len(fragments(Chem.MolFromSmiles("CC(=O)Nc1ccccc1"))) == 3  # acetyl, NH, phenyl
    assert fragments(Chem.MolFromSmiles("CC")) == ["CC"]


def test_cosine_of_counts() -> None:
    assert cosine(Counter(a=2, b=1), Counter(a=4, b=2)) == pytest.approx(1)
    assert cosine(Counter(a=1), Counter(b=1)) == 0
    assert cosine(Counter(a=1), Counter(a=1, b=1)) == pytest.approx(math.sqrt(0.5))
    assert cosine(Counter(), Counter(a=1)) is None


def test_total_variation_of_counts() -> None:
    assert total_variation(Counter(a=1, b=1), Counter(a=3, b=3)) == 0
    assert total_variation(Counter(a=1), Counter(b=1)) == 1
    assert total_variation(Counter(a=1), Counter(a=3, b=1)) == pytest.approx(0.25)
    assert total_variation(Counter(a=1), Counter()) is None
