from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from rdkit import Chem

from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.generated_molecules import IN_PIECES, NO_SCAFFOLD, Molecule, molecules_of
from fedmol.chem.molecule_writers import listing
from fedmol.chem.scaffold_query import read_scaffold
from fedmol.chem.smiles_to_graphs import encode
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs, concatenate

VOCABULARY = vocabularies.get("qm9-charged")


def some_graphs() -> Graphs:
    """Ethanol, pyridine, two pieces, a nitrogen with four bonds, a carbon with five."""
    good = encode(["CCO", "c1ccncc1"], VOCABULARY).graphs
    bonds = torch.zeros(3, 3, 3, dtype=torch.int8)
    bonds[1, 0, 1] = bonds[1, 1, 0] = bonds[1, 0, 2] = bonds[1, 2, 0] = 2
    bonds[2, 0, 1] = bonds[2, 1, 0] = 3
    bonds[2, 0, 2] = bonds[2, 2, 0] = 2
    atoms = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.int8)
    return concatenate([good, Graphs(atoms, bonds, torch.tensor([2, 3, 3]))])


def test_they_say_what_each_graph_is_worth() -> None:
    ethanol, pyridine, pieces, charged, broken = molecules_of(some_graphs(), VOCABULARY, known={"CCO"})
    assert ethanol == Molecule("CCO", valid=True, relaxed=True, connected=True, novel=False, reason="")
    assert (pyridine.smiles, pyridine.novel) == ("c1ccncc1", True)
    assert (pieces.valid, pieces.connected) == (True, False)
    assert (charged.smiles, charged.valid, charged.relaxed, charged.novel) == ("C=[N+]=C", False, True, None)
    assert "N, 4" in charged.reason
    assert (broken.smiles, broken.valid, broken.relaxed) == ("", False, False)
    assert "C, 5" in broken.reason


def test_with_a_scaffold_only_whole_molecules_that_contain_it_are_valid() -> None:
    ethanol, pyridine, pieces, charged, _ = molecules_of(
        some_graphs(), VOCABULARY, scaffold=read_scaffold("CO", VOCABULARY)
    )
    assert (ethanol.valid, ethanol.relaxed, ethanol.reason) == (True, True, "")
    assert (pyridine.valid, pyridine.relaxed, pyridine.reason) == (False, False, NO_SCAFFOLD)
    assert (pieces.valid, pieces.relaxed, pieces.reason) == (False, False, IN_PIECES)
    assert (charged.valid, charged.relaxed) == (False, False)
    assert "N, 4" in charged.reason


def test_what_lost_its_aromaticity_is_not_what_was_asked_for() -> None:
    graphs = encode(["Cn1ccc(=O)cc1", "CC1C2=CC(=O)C1=CN2"], VOCABULARY).graphs
    found = molecules_of(graphs, VOCABULARY, scaffold=read_scaffold("O=c1cc[nH]cc1", VOCABULARY))
    assert [one.reason for one in found] == ["", NO_SCAFFOLD]


@pytest.fixture
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """All molecules in the format of the suffix that the test names."""
    path = tmp_path / f"molecules{request.param}"
    form = listing(path)
    path.write_text(
        form.head + "".join(form.rows(one, None) for one in molecules_of(some_graphs(), VOCABULARY, {"CCO"}))
    )
    return path


@pytest.mark.parametrize("written", [".smi"], indirect=True)
def test_a_list_has_the_valid_ones(written: Path) -> None:
    assert written.read_text() == "CCO\nc1ccncc1\nC\n"


@pytest.mark.parametrize("written", [".csv"], indirect=True)
def test_a_table_has_them_all(written: Path) -> None:
    table = pd.read_csv(written)
    assert table.valid.tolist() == [True, True, True, False, False]
    assert table.smiles.isna().tolist() == [False] * 4 + [True]
    assert table.novel.tolist()[:3] == [False, True, True]
    assert table.reason.isna().tolist() == [True] * 3 + [False] * 2


@pytest.mark.parametrize("written", [".sdf"], indirect=True)
def test_structures_read_back_with_coordinates(written: Path) -> None:
    found = list(Chem.SDMolSupplier(str(written)))
    assert [Chem.MolToSmiles(mol) for mol in found] == ["CCO", "c1ccncc1", "C"]
    assert found[1].GetProp("smiles") == "c1ccncc1"
    assert found[1].GetProp("novel") == "true"
    assert not found[1].GetConformer().Is3D()
    assert found[1].GetConformer().GetPositions().std() > 0.5


def expanded(tmp_path: Path, suffix: str, most: int) -> Path:
    """Molecules with four, two and one stereoisomers, and a carbon with five bonds."""
    path = tmp_path / f"isomers{suffix}"
    form = listing(path, stereo=True)
    graphs = concatenate([encode(["CC(O)C(C)F", "CC=CC", "CC"], VOCABULARY).graphs, some_graphs()[4:]])
    found = [(one, one.stereoisomers(most)) for one in molecules_of(graphs, VOCABULARY)]
    path.write_text(form.head + "".join(form.rows(one, isomers) for one, isomers in found))
    return path


def test_a_table_of_isomers_names_the_molecule_and_their_number(tmp_path: Path) -> None:
    table = pd.read_csv(expanded(tmp_path, ".csv", 3))
    assert table.columns.tolist()[-2:] == ["drawn", "isomers"]
    assert table.drawn.tolist()[:-1] == ["CC(O)C(C)F"] * 3 + ["CC=CC"] * 2 + ["CC"]
    assert table.isomers.tolist()[:-1] == [4] * 3 + [2] * 2 + [1]
    assert table.valid.tolist() == [True] * 6 + [False]
    assert table.iloc[-1][["smiles", "drawn", "isomers"]].isna().all()
    assert table.smiles[:-1].is_unique


def test_a_list_of_isomers_has_a_line_for_each(tmp_path: Path) -> None:
    lines = expanded(tmp_path, ".smi", 16).read_text().splitlines()
    assert len(lines) == 7
    assert lines[4:] == ["C/C=C/C", "C/C=C\\C", "CC"]


def test_structures_of_isomers_read_back_with_their_stereo(tmp_path: Path) -> None:
    lines = expanded(tmp_path, ".smi", 16).read_text().splitlines()
    found = list(Chem.SDMolSupplier(str(expanded(tmp_path, ".sdf", 16))))
    assert [Chem.MolToSmiles(mol) for mol in found] == [mol.GetProp("smiles") for mol in found] == lines
    assert [mol.GetProp("isomers") for mol in found] == ["4"] * 4 + ["2"] * 2 + ["1"]
    assert found[0].GetProp("drawn") == "CC(O)C(C)F"
    assert [mol.GetIntProp("_MolFileChiralFlag") for mol in found] == [1] * 4 + [0] * 3


def test_isomers_that_were_not_counted_have_no_number(tmp_path: Path) -> None:
    one = Molecule("C" + "C(F)" * 20 + "Cl", valid=True, relaxed=True, connected=True, novel=None, reason="")
    isomers = one.stereoisomers(2)
    assert listing(tmp_path / "a.csv", stereo=True).rows(one, isomers).count(f"{one.smiles},\n") == 2
    (tmp_path / "a.sdf").write_text(listing(tmp_path / "a.sdf", stereo=True).rows(one, isomers))
    assert [mol.HasProp("isomers") for mol in Chem.SDMolSupplier(str(tmp_path / "a.sdf"))] == [0, 0]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(FedmolError) as caught:
        listing(Path("molecules.xlsx"))
    assert caught.value.exit is Exit.USAGE
    assert ".sdf" in caught.value.cure
