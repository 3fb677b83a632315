from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from fedmol.evaluation import similarity
from fedmol.evaluation.similarity import SHORT, fingerprint, folded, mean_similarity, nearest, nearest_other

MOLECULES = [Chem.MolFromSmiles(one) for one in ("CCO", "CCCO", "c1ccoc1", "c1ccncc1", "CC#N", "C", "O=C1CCCN1")]
BITS = np.stack([fingerprint(mol) for mol in MOLECULES])


def rdkit_table(bits: int) -> np.ndarray:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=bits)
    prints = [generator.GetFingerprint(mol) for mol in MOLECULES]
    return np.array([DataStructs.BulkTanimotoSimilarity(one, prints) for one in prints])


@pytest.fixture(params=[1024, 2])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one block, and in several."""
    monkeypatch.setattr(similarity, "_ROWS", request.param)


def test_folding_gives_the_shorter_fingerprint() -> None:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=SHORT)
    assert (folded(BITS) == np.stack([generator.GetFingerprintAsNumPy(mol) for mol in MOLECULES])).all()


@pytest.mark.usefixtures("rows")
def test_the_nearest_of_another_set_as_rdkit_finds_it() -> None:
    assert nearest(BITS[:3], BITS[3:]) == pytest.approx(rdkit_table(4096)[:3, 3:].max(1))


@pytest.mark.usefixtures("rows")
def test_the_nearest_other_one_as_rdkit_finds_it() -> None:
    table = rdkit_table(4096)
    np.fill_diagonal(table, 0)
    assert nearest_other(BITS) == pytest.approx(table.max(1))


@pytest.mark.usefixtures("rows")
def test_the_mean_counts_a_repeated_molecule_every_time() -> None:
    times = [3, 1, 1, 2, 1, 1, 1]
    repeated = np.repeat(np.arange(len(times)), times)
    expected = rdkit_table(4096)[np.ix_(repeated, repeated)].mean()
    assert mean_similarity(BITS, times) == pytest.approx(expected, rel=1e-6)


def test_a_single_molecule_has_no_other() -> None:
    assert nearest_other(BITS[:1]).tolist() == [0.0]
