"""Whatever a file of molecules is for, its molecules are read in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fedmol.chem import vocabulary
from fedmol.chem.encoding import encode
from fedmol.chem.scaffolds import scaffolds
from fedmol.cli.evaluate import evaluate
from fedmol.data.shards import open_shard
from fedmol.data.splits import names
from fedmol.evaluation.reference import real_molecules, training_molecules

CHARGED = vocabulary.get("qm9-charged")
SAME = [
    ("[2H]C([2H])([2H])O", "CO"),
    ("[H]/N=C(/N)\\C", "CC(=N)N"),
    ("[CH3:1][C@H](F)O", "CC(O)F"),
    ("C/C=C/C |(1,2;3,4;5,6;7,8)|", "CC=CC"),
    ("[H]c1cccnc1", "c1ccncc1"),
]


@pytest.mark.parametrize(("written", "canonical"), SAME)
def test_for_every_use(tmp_path: Path, written: str, canonical: str) -> None:
    path = tmp_path / "molecules.smi"
    path.write_text(f"{written}\nCCCC\n")
    assert encode([written], CHARGED).smiles == [canonical]
    assert open_shard(path, "smiles", CHARGED, 0.1).smiles == [canonical, "CCCC"]
    assert real_molecules(str(path), "smiles", CHARGED).smiles == [canonical, "CCCC"]
    assert training_molecules(str(path), "smiles", CHARGED) == {canonical, "CCCC"}
    assert names([written]) == [canonical]
    assert scaffolds([written]) == scaffolds([canonical])


def report(*arguments: object) -> str:
    result = CliRunner().invoke(evaluate, [str(one) for one in arguments])
    assert result.exception is None, result.output
    return result.output


@pytest.mark.parametrize(("written", "canonical"), SAME)
def test_what_is_known_is_not_novel_however_it_is_written(tmp_path: Path, written: str, canonical: str) -> None:
    made, known = tmp_path / "made.smi", tmp_path / "known.smi"
    for one, other in ((written, canonical), (canonical, written)):
        made.write_text(one)
        known.write_text(other)
        assert "novelty strict distinct valid 0 / 1" in " ".join(report(made, "--known", known).split())


def test_what_a_figure_leaves_out_is_said(tmp_path: Path) -> None:
    made, test = tmp_path / "made.smi", tmp_path / "test.smi"
    made.write_text("CCO\nCCN\nCCC\nC[SiH3]\nCCBr\nCCI\nCS\nCP\n")
    test.write_text("CCO\nCCN\nCCC\nCCCC\nC[SiH3]\n")
    said = " ".join(report(made, "--test", test).split())
    assert "test molecules: 1 of 5 rows are left out: element not in the vocabulary qm9-charged: Si" in said
    assert "the distances are those of 3 of 8 valid molecules: 5 have" in said


def test_where_nothing_is_valid_no_share_is_printed(tmp_path: Path) -> None:
    made, test = tmp_path / "made.smi", tmp_path / "test.smi"
    made.write_text("x\nc1cccc1\nC(C)(C)(C)(C)C\n")
    test.write_text("CCO\nCCN\n")
    said = report(made, "--test", test)
    assert "nan" not in said
    assert "none to count" in said
    for reason in ("not a SMILES", "aromatic ring that cannot be kekulised", "impossible valence: C"):
        assert f"1: {reason}" in said


def test_a_polymer_among_the_molecules_takes_no_time(tmp_path: Path) -> None:
    made, test = tmp_path / "made.smi", tmp_path / "test.smi"
    made.write_text("CCO\nCCN\n" + "C" * 5000 + "\n")
    test.write_text("CCO\nCCC\n" + "CO" * 2500 + "\n")
    said = report(made, "--test", test)
    assert "1: too large to be looked at (more than 1,000 heavy atoms)" in said
    assert "test molecules: 1 of 3 rows are left out: too large to be looked at" in said
