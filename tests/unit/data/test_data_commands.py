from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fedmol.cli.data import data
from fedmol.data.molecule_files import read_table
from fedmol.errors import Exit, FedmolError


def call(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(one) for one in arguments])


def failure(*arguments: object) -> FedmolError:
    error = call(*arguments).exception
    assert isinstance(error, FedmolError)
    return error


def test_card_shows_counts_and_every_reason(tmp_path: Path) -> None:
    path = tmp_path / "site.csv"
    path.write_text("smiles\nc1cc[nH]c1\nCCO\nCCN\nC.C\nx\n")
    result = call("card", path)
    assert result.exit_code == 0, result.output
    for text in ("rows read", "5", "more than one fragment", "not a SMILES", "line 6", "c1cc[nH]c1: 1"):
        assert text in result.output
    document = json.loads(call("card", path, "--json").output)
    assert (document["read"], document["kept"]) == (5, 3)


def test_every_rejected_row_can_be_had(tmp_path: Path) -> None:
    path, out = tmp_path / "site.csv", tmp_path / "rejected.csv"
    path.write_text("smiles,name\nCCO,a\n" + "ethanol,b\n" * 7 + "CC,c,d\nCCN,e\n" + '"C.C",f\nCCC,g\n')
    assert failure("card", path, "--rejected", out).exit is Exit.BAD_DATA
    with out.open(newline="") as file:
        found = [tuple(row) for row in csv.reader(file)]
    assert found == [
        ("line", "reason", "smiles"),
        *((str(line), "not a SMILES", "ethanol") for line in range(3, 10)),
        ("10", "3 fields where the header has 2", ""),
        ("12", "more than one fragment (salt, solvate or mixture)", "C.C"),
    ]


def test_a_vocabulary_for_no_molecule_is_refused_for_that(tmp_path: Path) -> None:
    path = tmp_path / "site.csv"
    path.write_text("smiles\nethanol\nwater\n")
    refused = failure("vocabulary", path)
    assert "none of 2 rows holds a molecule" in refused.message
    assert "fedmol data card" in refused.cure


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", Exit.BAD_DATA),
        (b"PK\x03\x04...", Exit.BAD_DATA),
        (b"\x00\x01\x02", Exit.BAD_DATA),
        (b"name\nCCO\n", Exit.BAD_DATA),
        (b"smiles\nC.C\nN.N\n", Exit.BAD_DATA),
        (gzip.compress(b"smiles\nCCCl\nCCBr\nCCI\nCC\n"), Exit.VOCABULARY_DIFFERS),
    ],
    ids=["empty", "zip", "binary", "wrong column", "salts", "unknown atoms"],
)
def test_bad_input_ends_with_its_code_and_a_cure(tmp_path: Path, content: bytes, code: Exit) -> None:
    path = tmp_path / "site.csv"
    path.write_bytes(content)
    error = failure("card", path)
    assert error.exit is code
    assert str(path) in error.message
    assert error.cure


def test_unknown_vocabulary_is_a_setting(tmp_path: Path) -> None:
    assert failure("card", tmp_path / "site.csv", "--vocabulary", "zinc").exit is Exit.BAD_SETTINGS


def test_made_file_can_be_split_and_no_row_is_lost(tmp_path: Path) -> None:
    made = tmp_path / "made.csv"
    assert call("make", "--out", made, "--limit", 120).exit_code == 0
    out = tmp_path / "sites"
    result = call("split", made, "--sites", 3, "--kind", "uneven", "--sizes", "3,2,1", "--out", out)
    assert result.exit_code == 0, result.output
    parts = [read_table(path).smiles for path in sorted(out.iterdir())]
    assert [len(part) for part in parts] == [60, 40, 20]
    assert sorted(one for part in parts for one in part) == sorted(read_table(made).smiles)


def test_rows_without_a_smiles_are_told_when_a_file_is_split(tmp_path: Path) -> None:
    path, out = tmp_path / "some.csv", tmp_path / "sites"
    path.write_text("name,smiles\nN,N-dimethylaniline,CN(C)c1ccccc1\na,CCO\nb,\nc,x\nd,CCN\n")
    result = call("split", path, "--sites", 1, "--out", out)
    assert "1 rows are left out: 3 fields where the header has 2 (lines 2)" in result.output
    assert "1 rows are left out: empty cell (lines 4)" in result.output
    assert read_table(out / "site-1.csv").smiles == ("CCO", "x", "CCN")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--kind", "dirichlet"], "alpha"),
        (["--kind", "uneven"], "sizes"),
        (["--kind", "uneven", "--sizes", "1,two"], "number"),
        (["--kind", "uneven", "--sizes", "1,2,3"], "3 sizes for 2 sites"),
        (["--kind", "iid", "--alpha", "1"], "alpha"),
    ],
)
def test_options_that_do_not_fit_the_split_are_named(tmp_path: Path, options: list[str], word: str) -> None:
    error = failure("split", "embedded", *options, "--out", tmp_path)
    assert error.exit is Exit.BAD_SETTINGS
    assert word in error.message


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = failure("make", "--out", tmp_path / "file" / "made.csv", "--limit", 5)
    assert error.exit is Exit.USAGE
    assert "made.csv cannot be written" in error.message
