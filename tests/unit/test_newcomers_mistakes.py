"""What somebody who is alone with fedmol for the first time gets wrong: each message says what, where, and the cure."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit

SITES = "sites: [{name: north}, {name: south}]\n"


def spreadsheet() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    return buffer.getvalue()


FILES = {
    "good.smi": b"CCO\nCCN\nCCC\nCO\n",
    "good.csv": b"name,structure\nethanol,CCO\nethylamine,CCN\n",
    "paper.csv": b"%PDF-1.7\n",
    "sheet.csv": spreadsheet(),
    "page.csv": b"<!DOCTYPE html>\n<html>Please sign in</html>\n",
    "list.csv": b'[{"smiles": "CCO"}]',
    "long.csv": b'[\n  {"smiles": "CCO"}\n]\n',
    "inchi.csv": b'id,smiles\n1,InChI=1S/CH4/h1H4\n2,"InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3"\n',
    "keys.csv": b"id,smiles\n1,LFQSCWFLJHTTHZ-UHFFFAOYSA-N\n2,QUSNBJAOOMFDIB-UHFFFAOYSA-N\n",
    "names.csv": b"id,smiles\n1,ethanol\n2,acetic acid\n",
    "reactions.smi": b"CCO>>CC=O\nCC(=O)O.OCC>[H+]>CC(=O)OCC\n",
    "one.smi": b"CCO\n",
    "note.safetensors": b"the model is on the other disk\n",
    "good.yaml": SITES.encode(),
    "indented.yaml": b"sites:\n  - name: north\n - name: south\n",
    "tab.yaml": b"sites:\n\t- name: north\n",
    "open.yaml": b"sites: [{name: north}\n",
    "flat.yaml": f"{SITES}training:\nrounds: 3\n".encode(),
    "unknown.yaml": f"{SITES}training: {{round: 3}}\n".encode(),
    "norway.yaml": b"sites: [{name: no}]\n",
}

MISTAKES: dict[str, tuple[list[str], Exit, tuple[str, ...]]] = {  # the call, and what has to be said
    "a misspelt column": (
        ["data", "card", "good.csv", "--column", "struct"],
        Exit.BAD_DATA,
        ("good.csv has no column 'struct'", "'name', 'structure'", "--column"),
    ),
    "a PDF": (["data", "card", "paper.csv"], Exit.BAD_DATA, ("paper.csv is a PDF", "export the molecules as CSV")),
    "a spreadsheet": (["train", "sheet.csv"], Exit.BAD_DATA, ("sheet.csv is a spreadsheet", "save the sheet as CSV")),
    "a web page": (["data", "card", "page.csv"], Exit.BAD_DATA, ("page.csv is a page (HTML", "a server may have sent")),
    "JSON": (["data", "card", "list.csv"], Exit.BAD_DATA, ("list.csv is JSON", "export the molecules as CSV")),
    "JSON on lines": (["data", "card", "long.csv"], Exit.BAD_DATA, ("long.csv is JSON", "export the molecules as CSV")),
    "a folder": (["train", "folder"], Exit.BAD_DATA, ("folder is a folder", "name the file of molecules inside it")),
    "no such file": (
        ["train", "god.smi"],
        Exit.BAD_DATA,
        ("there is no file god.smi", "name an existing file of molecules, or embedded or qm9 or qm9-digress"),
    ),
    "no such file to evaluate": (
        ["evaluate", "god.smi"],
        Exit.BAD_DATA,
        ("there is no file god.smi", "name an existing file of molecules, or qm9"),
    ),
    "no such test molecules": (
        ["evaluate", "good.csv", "--column", "structure", "--test", "embedded"],
        Exit.BAD_DATA,
        ("there is no file embedded", "name an existing file of molecules, or qm9 or qm9-digress"),
    ),
    "InChI": (
        ["data", "card", "inchi.csv"],
        Exit.BAD_DATA,
        (
            "inchi.csv, column 'smiles': none of 2 rows",
            "an InChI, not a SMILES (lines 2, 3)",
            "convert InChI to SMILES",
        ),
    ),
    "InChI keys": (
        ["data", "card", "keys.csv"],
        Exit.BAD_DATA,
        ("keys.csv, column 'smiles'", "an InChIKey, not a SMILES (lines 2, 3)", "does not hold the structure"),
    ),
    "names": (
        ["train", "names.csv"],
        Exit.BAD_DATA,
        ("names.csv, column 'smiles'", "2 rows: not a SMILES (lines 2, 3)", "SMILES, not names", "--column"),
    ),
    "reactions": (
        ["data", "card", "reactions.smi"],
        Exit.BAD_DATA,
        ("reactions.smi", "a reaction, not a molecule (lines 1, 2)", "one to a row"),
    ),
    "one molecule": (
        ["train", "one.smi"],
        Exit.BAD_DATA,
        ("one.smi holds 1 different molecule in 1 row,", "at least 2", "more molecules"),
    ),
    "no such preset": (
        ["train", "good.smi", "--preset", "big"],
        Exit.BAD_SETTINGS,
        ("no model preset 'big'", "small, base, large"),
    ),
    "no such preset, in settings": (
        ["run", "--settings", "good.yaml", "--set", "model.preset=big"],
        Exit.BAD_SETTINGS,
        ("no model preset 'big'", "small, base, large"),
    ),
    "no such sampler, in settings": (
        ["run", "--settings", "good.yaml", "--set", "evaluation.sampler=fast"],
        Exit.BAD_SETTINGS,
        ("no sampler 'fast'", "few-step, ancestral"),
    ),
    "no such vocabulary": (
        ["train", "good.smi", "--vocabulary", "drugs"],
        Exit.BAD_SETTINGS,
        ("no vocabulary 'drugs'", "qm9, qm9-charged, drug", "--vocabulary"),
    ),
    "wrong indentation": (
        ["run", "--settings", "indented.yaml"],
        Exit.BAD_SETTINGS,
        ("indented.yaml", "line 3, column 2", "does not begin in the same column", "begin in one column"),
    ),
    "a tab": (
        ["run", "--settings", "tab.yaml"],
        Exit.BAD_SETTINGS,
        ("tab.yaml", "line 2", "a tab", "never after tabs"),
    ),
    "an open bracket": (["run", "--settings", "open.yaml"], Exit.BAD_SETTINGS, ("open.yaml", "line 2", "not closed")),
    "a section without entries": (
        ["run", "--settings", "flat.yaml"],
        Exit.BAD_SETTINGS,
        ("flat.yaml", "training: it has no entries", "rounds: it has no entries", "indented"),
    ),
    "an unknown setting": (
        ["run", "--settings", "unknown.yaml"],
        Exit.BAD_SETTINGS,
        ("unknown.yaml", "training.round: there is no such entry; rounds may be meant", "settings.yaml in the folder"),
    ),
    "an unknown setting on the command line": (
        ["run", "--settings", "good.yaml", "--set", "training.round=3"],
        Exit.BAD_SETTINGS,
        ("good.yaml with training.round=3 has wrong entries", "rounds may be meant"),
    ),
    "a site called no": (
        ["run", "--settings", "norway.yaml"],
        Exit.BAD_SETTINGS,
        ("norway.yaml", "sites.0.name", "reads false", "put a word such as no into quotes"),
    ),
    "settings that are not there": (
        ["run", "--settings", "none.yaml"],
        Exit.BAD_SETTINGS,
        ("there is no file none.yaml", "--settings"),
    ),
    "a folder as output": (["sample", "--out", "folder"], Exit.USAGE, ("folder is a folder", "name a file in it")),
    "a text as model": (
        ["evaluate", "note.safetensors"],
        Exit.BAD_MODEL,
        ("note.safetensors is not a usable model", "not a safetensors file", "name a model.safetensors"),
    ),
    "no such model": (
        ["sample", "none.safetensors"],
        Exit.BAD_MODEL,
        ("there is no file none.safetensors", "name a model that training wrote"),
    ),
    "a scaffold that is none": (
        ["sample", "--scaffold", "nonsense"],
        Exit.USAGE,
        ("scaffold 'nonsense'", "not a SMILES", "such as c1ccncc1"),
    ),
    "a misspelt command": (
        ["trian", "good.smi"],
        Exit.USAGE,
        ("fedmol: No such command 'trian'. Did you mean 'train'?", "fedmol --help"),
    ),
    "a misspelt command of a group": (
        ["data", "crad"],
        Exit.USAGE,
        ("'crad'. Did you mean 'card'?", "fedmol data --help"),
    ),
    "a misspelt option": (
        ["train", "good.smi", "--step", "3"],
        Exit.USAGE,
        ("'--step'", "'--steps'", "fedmol train --help"),
    ),
    "no file": (["train"], Exit.USAGE, ("fedmol train: Missing argument 'FILE'", "fedmol train [OPTIONS] FILE")),
    "no output": (["data", "make"], Exit.USAGE, ("Missing option '--out'", "fedmol data make [OPTIONS] --out PATH")),
    "a word too many": (
        ["sample", "a", "b"],
        Exit.USAGE,
        ("unexpected extra argument (b)", "fedmol sample [OPTIONS] [MODEL]"),
    ),
    "a choice that is none": (
        ["train", "good.smi", "--optimizer", "sgd"],
        Exit.USAGE,
        ("'--optimizer'", "'sgd' is not one of 'muon', 'adamw'", "fedmol train --help"),
    ),
    "a number that is none": (["train", "good.smi", "--steps", "many"], Exit.USAGE, ("'--steps'", "'many'", "--help")),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_bytes(content)
    Path("folder").mkdir()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_by_what_is_wrong_where_and_what_to_do(
    mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, exit, words = MISTAKES[mistake]
    assert run(arguments) == exit
    out, said = capsys.readouterr()
    assert "sampling" not in out  # nothing begins
    assert said.startswith("error: ")
    assert [word for word in words if word not in said] == [], said
    assert said.count("\n  cure: ") == 1
    assert f"  see:  {exit.page} (exit code {exit.value})" in said
    assert "Traceback" not in said
    assert "coordinator" not in said, "whoever works alone is the coordinator"


@pytest.mark.parametrize("mistake", ["no such preset, in settings", "no such sampler, in settings", "names"])
def test_a_mistake_leaves_nothing_behind(mistake: str) -> None:
    before = sorted(Path().rglob("*"))
    run(MISTAKES[mistake][0])
    assert [one for one in sorted(Path().rglob("*")) if one not in before] in ([], [Path("runs")])


def test_a_group_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert said.startswith("Usage: fedmol data")
    assert "card" in said
