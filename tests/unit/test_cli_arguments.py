"""Arguments that cannot work are refused before anything is loaded or trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit

COMMANDS = {
    "sample": ["sample", "-n", "2"],
    "train": ["train", "molecules.smi", "--steps", "1"],
    "evaluate": ["evaluate", "molecules.smi"],
    "data make": ["data", "make", "--limit", "5"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("molecules.smi").write_text("CCO\nCCN\nCCC\n")
    Path("results.smi").mkdir()
    Path("occupied").write_text("")
    monkeypatch.setattr("fedmol.training.model_file.load_model", _never)
    monkeypatch.setattr("fedmol.data.molecule_files.read_bytes", _never)
    return tmp_path


def _never(*_: object) -> None:
    raise AssertionError("the work has begun")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("results.smi", "is a folder, not a file"),
        ("occupied/made.smi", "occupied is a file, not a folder"),
        ("/proc/made.smi", "cannot be written"),
        ("x" * 300 + ".smi", "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written(command: str, out: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMANDS[command], "--out", out]) == Exit.USAGE
    assert said in capsys.readouterr().err


def test_a_folder_that_has_to_be_made_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "make", "--limit", "5", "--out", "resutls/deep/made.csv"]) == Exit.DONE
    assert "resutls/deep does not exist: the folder will be made" in capsys.readouterr().err
    assert run(["data", "make", "--limit", "5", "--out", "resutls/deep/made.csv"]) == Exit.DONE
    assert "will be made" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sample", "train", "evaluate", "data make"])
@pytest.mark.parametrize("seed", [str(2**64), "-1", "one"])
def test_a_seed_that_is_none(command: str, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMANDS[command], "--out", "made.smi", "--seed", seed]) == Exit.USAGE
    assert "--seed" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sample", "train"])
@pytest.mark.parametrize("threads", ["100000", "0"])
def test_threads_that_no_machine_has(command: str, threads: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMANDS[command], "--out", "made.smi", "--threads", threads]) == Exit.USAGE
    assert "--threads" in capsys.readouterr().err


@pytest.mark.parametrize(("entry", "value"), [("seed", 2**64), ("training.threads", 100_000)])
def test_the_same_in_settings(entry: str, value: int, capsys: pytest.CaptureFixture[str]) -> None:
    Path("federation.yaml").write_text("sites: [{name: north}]\n")
    assert run(["run", "--set", f"{entry}={value}"]) == Exit.BAD_SETTINGS
    assert entry in capsys.readouterr().err
