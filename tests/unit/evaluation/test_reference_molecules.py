from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedmol.chem.vocabulary import VOCABULARIES
from fedmol.data.embedded import embedded
from fedmol.data.molecule_files import Table
from fedmol.evaluation import reference_molecules
from fedmol.evaluation.reference_molecules import real_molecules, training_molecules

QM9 = VOCABULARIES["qm9-charged"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """QM9 is played by a few other molecules."""
    smiles = embedded()[:300]
    monkeypatch.setattr(reference_molecules, "qm9", lambda _: Table("qm9", "smiles", smiles, tuple(range(2, 302))))
    monkeypatch.setattr(reference_molecules, "_DIGRESS_TRAINING", 200)
    monkeypatch.setattr(reference_molecules, "_DIGRESS_TEST", 40)
    reference_molecules._qm9.cache_clear()


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("name", "test", "training"), [("qm9", 30, 270 * 0.95), ("qm9-digress", 40, 200)])
def test_held_out_molecules_are_not_trained_on(name: str, test: int, training: int) -> None:
    from fedmol.chem.graphs_to_molecules import read_graphs

    out = {one.smiles for one in read_graphs(real_molecules(name, "smiles", QM9).graphs, QM9)}
    known = set(training_molecules(name, "smiles", QM9))
    assert len(out) == test
    assert len(known) == pytest.approx(training, abs=8)
    assert not out & known


def test_the_split_of_digress() -> None:
    rows = reference_molecules._held_out_by_digress(133_885)
    assert rows["training"][:4].tolist() == [3115, 117879, 23433, 61955]
    assert rows["test"][:2].tolist() == [104820, 126836]
    assert (len(rows["training"]), len(rows["test"])) == (100_000, 13_388)
    assert not np.intersect1d(rows["training"], rows["test"]).size


def test_known_molecules_are_written_as_generated_ones_are(tmp_path: Path) -> None:
    path = tmp_path / "known.smi"
    path.write_text("SMILES name\nOCC ethanol\nCCO again\n[NH3+]CC(=O)[O-] glycine\nnothing\n")
    assert training_molecules(str(path), "smiles", QM9) == {"CCO", "[NH3+]CC(=O)[O-]"}
    assert training_molecules(str(path), "smiles", VOCABULARIES["qm9"]) == {"CCO", "NCC(=O)O"}
