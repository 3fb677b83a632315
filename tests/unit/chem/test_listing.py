from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from rdkit import Chem

from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.encoding import encode
from fedmol.chem.listing import IN_PIECES, Entry, entries, listing
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


def test_entries_say_what_each_graph_is_worth() -> None:
    ethanol, pyridine, pieces, charged, broken = entries(some_graphs(), VOCABULARY, known={"CCO"})
    assert ethanol == Entry("CCO", valid=True, relaxed=True, connected=True, novel=False, reason="")
    assert (pyridine.smiles, pyridine.novel) == ("c1ccncc1", True)
    assert (pieces.valid, pieces.connected) == (True, False)
    assert (charged.smiles, charged.valid, charged.relaxed, charged.novel) == ("C=[N+]=C", False, True, None)
    assert "N, 4" in charged.reason
    assert (broken.smiles, broken.valid, broken.relaxed) == ("", False, False)
    assert "C, 5" in broken.reason


def test_pieces_can_be_refused() -> None:
    pieces = entries(some_graphs(), VOCABULARY, whole=True)[2]
    assert (pieces.valid, pieces.relaxed, pieces.reason) == (False, False, IN_PIECES)


@pytest.fixture
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """All entries in the format of the suffix that the test names."""
    path = tmp_path / f"molecules{request.param}"
    form = listing(path)
    path.write_text(form.head + "".join(form.entry(entry) for entry in entries(some_graphs(), VOCABULARY, {"CCO"})))
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


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(FedmolError) as caught:
        listing(Path("molecules.xlsx"))
    assert caught.value.exit is Exit.USAGE
    assert ".sdf" in caught.value.cure
