"""Whether there are enough molecules for a federation is said before it begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmol.chem.standardise import read_by
from fedmol.cli.main import run
from fedmol.data.embedded import embedded
from fedmol.data.molecule_files import read_table
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings, parse
from fedmol.formats import number
from fedmol.local.preparation import prepare


def settings(path: Path, lines: list[str], **changes: Any) -> Settings:
    path.write_text("\n".join(lines) + "\n")
    data = {"source": str(path), **changes}
    return parse({"sites": [{"name": "north"}, {"name": "south"}], "data": data}, "test")


def molecules(folder: Path, *parts: str) -> list[int]:
    return [len(set(read_table(folder / part).smiles)) for part in parts]


@pytest.mark.parametrize("count", [1, 2, 6])
def test_too_few_are_counted_and_nothing_is_left_behind(
    tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("federation.yaml").write_text("sites: [{name: north}, {name: south}]\n")
    Path("few.smi").write_text("\n".join(embedded()[:count]))
    assert run(["run", "--data", "few.smi"]) == Exit.BAD_DATA
    said = capsys.readouterr().err
    assert f"few.smi holds {number(count, 'different molecule')}" in said
    assert "at least" in said
    assert [path for path in Path("runs").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("count", [8, 14, 50])
def test_enough_are_dealt_out_so_that_everyone_can_work(tmp_path: Path, count: int) -> None:
    prepare(settings(tmp_path / "few.smi", list(embedded()[:count])), tmp_path / "run")
    north, south, test = molecules(tmp_path / "run", "sites/north/shard.csv", "sites/south/shard.csv", "data/test.csv")
    assert min(north, south) >= 2
    assert test >= 1
    assert north + south + test == count


def test_no_form_of_a_test_substance_is_trained_on(tmp_path: Path) -> None:
    acids = ["C" * n + "C(=O)O" for n in range(3, 7)] + ["C" * n + "C(C)C(=O)O" for n in range(1, 5)]
    forms = [one for acid in acids for one in (acid, acid[:-1] + "[O-].[Na+]", acid + ".NCCO")]
    dealt = prepare(settings(tmp_path / "salts.smi", forms, standardise="parent"), tmp_path / "run")
    parts = [tmp_path / "run" / part for part in ("sites/north/shard.csv", "sites/south/shard.csv", "data/test.csv")]
    north, south, test = ({read_by("parent", one)[0].smiles for one in read_table(part).smiles} for part in parts)
    assert dealt.data.standardise == "parent"
    assert not test & (north | south)
    assert len(test | north | south) == len(acids)
    known = set(read_table(tmp_path / "run" / "data" / "known.csv").smiles)
    assert known <= {read_by("parent", acid)[0].smiles for acid in acids} - test


def test_the_same_molecule_over_and_over_is_not_many(tmp_path: Path) -> None:
    with pytest.raises(FedmolError, match="holds 3 different molecules") as caught:
        prepare(settings(tmp_path / "few.smi", ["CCO", "OCC", "CCN", "NCC", "CCC"] * 20), tmp_path / "run")
    assert caught.value.exit is Exit.BAD_DATA


def test_a_split_that_leaves_a_site_with_too_little_names_the_site(tmp_path: Path) -> None:
    chains = ["C" * n for n in range(1, 9)]
    few = settings(tmp_path / "few.smi", [*chains, "C1CC1"], split={"kind": "scaffold"})
    with pytest.raises(FedmolError, match=r"too few for this split: (north|south) gets [01] to train on") as caught:
        prepare(few, tmp_path / "run")
    assert caught.value.exit is Exit.BAD_DATA


def test_rows_that_are_rejected_are_told_once_and_dealt_to_nobody(tmp_path: Path) -> None:
    """Half of a source may be rejected, whatever the seed and the split make of its parts."""
    foreign = ["C" * n + "[SiH3]" for n in range(1, 50)] + ["CC.O", "x", "C(C)(C)(C)(C)C"]
    told: list[str] = []
    prepare(settings(tmp_path / "half.smi", [*embedded()[:53], *foreign]), tmp_path / "run", tell=told.append)
    parts = [tmp_path / "run" / "sites" / site / "shard.csv" for site in ("north", "south")]
    rows = [one for path in (*parts, tmp_path / "run" / "data" / "test.csv") for one in read_table(path).smiles]
    assert sorted(rows) == sorted(embedded()[:53])
    assert any("rows are left out: element not in the vocabulary qm9-charged: Si (lines 54, 55" in one for one in told)
    card = json.loads((tmp_path / "run" / "data" / "card.json").read_text())
    assert (card["read"], card["kept"]) == (105, 53)


def test_more_than_half_rejected_are_too_many(tmp_path: Path) -> None:
    with pytest.raises(FedmolError, match="only 5 of 12 rows can be used") as caught:
        prepare(settings(tmp_path / "most.smi", [*embedded()[:5], *["C[SiH3]"] * 7]), tmp_path / "run")
    assert caught.value.exit is Exit.VOCABULARY_DIFFERS
    assert "coordinator" not in caught.value.cure
