"""Whatever a file of molecules is for, its molecules are read in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from rdkit import Chem

from fedmol.chem import vocabulary
from fedmol.chem.scaffolds import scaffolds
from fedmol.chem.smiles_to_graphs import encode
from fedmol.cli.evaluate import evaluate
from fedmol.cli.sample import sample
from fedmol.data.molecule_files import read_table
from fedmol.data.shards import build_shard, open_shard
from fedmol.data.splits import names
from fedmol.errors import FedmolError
from fedmol.evaluation.reference_molecules import real_molecules, training_molecules

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


def test_bonds_of_molfiles_that_are_neither_single_nor_double_are_refused(tmp_path: Path) -> None:
    """Type 4 in an acetate, and in a ring of benzene, where it means what it says."""
    acetate, benzene = Chem.MolFromSmiles("CC(=O)[O-]"), Chem.MolFromSmiles("c1ccccc1")
    for bond in list(acetate.GetBonds())[1:]:
        bond.SetBondType(Chem.BondType.AROMATIC)
    path = tmp_path / "site.sdf"
    blocks = [Chem.MolToMolBlock(mol, kekulize=False) for mol in (acetate, benzene)]
    assert all("  4  0" in block for block in blocks)
    path.write_text("".join(f"{block}$$$$\n" for block in blocks))
    shard = build_shard(read_table(path), CHARGED)
    assert shard.smiles == ["c1ccccc1"]
    assert list(shard.card.rejected) == ["aromatic bond outside an aromatic ring"]


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


def test_known_rows_that_are_no_molecules_are_told_and_some_must_be(tmp_path: Path) -> None:
    made, known = tmp_path / "made.smi", tmp_path / "known.csv"
    made.write_text("CCO\nCCN\n")
    known.write_text('SMILES\nCCO\nethanol\n"InChI=1S/CH4/h1H4"\nCC(:O):O\nwater\n')
    sampling = ["-n", "4", "--out", str(tmp_path / "drawn.smi"), "--known", str(known)]
    for said in (report(made, "--known", known), CliRunner().invoke(sample, sampling).output):
        assert "known molecules: 2 of 5 rows are left out: not a SMILES (lines 3, 6)" in said
        assert "known molecules: 1 of 5 rows are left out: aromatic bond outside an aromatic ring (line 5)" in said
    assert "novel" in said
    known.write_text("SMILES\nethanol\nwater\n")
    for command, arguments in ((evaluate, [str(made), "--known", str(known)]), (sample, sampling)):
        refused = CliRunner().invoke(command, arguments).exception
        assert isinstance(refused, FedmolError)
        assert (
            "none of 2 rows is a known molecule\n  2 of 2 rows are left out: not a SMILES (lines 2, 3)"
            in refused.message
        )


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
