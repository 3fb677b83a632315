"""fedmol run with wrong arguments: an exit code, a message with a cure, and nothing left behind."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit, FedmolError

SETTINGS = "sites: [{name: north}, {name: south}]\n"


@pytest.mark.parametrize(
    ("arguments", "exit", "said"),
    [
        (["--settings", "nowhere.yaml"], Exit.BAD_SETTINGS, "nowhere.yaml"),
        (["--set", "training.rounds"], Exit.USAGE, "KEY=VALUE"),
        (["--set", "training.rounds=0"], Exit.BAD_SETTINGS, "training.rounds"),
        (["--set", "training=3"], Exit.BAD_SETTINGS, "training"),
        (["--set", "sites.north.weight=3"], Exit.BAD_SETTINGS, "sites"),
        (["--data", "nowhere.csv"], Exit.BAD_DATA, "nowhere.csv"),
        (["--budget", "soon"], Exit.USAGE, "soon"),
        (["--resume"], Exit.USAGE, "no run"),
        (["--resume", "--run-id", "gone"], Exit.STATE_UNUSABLE, "gone"),
    ],
)
def test_wrong_arguments(
    arguments: list[str],
    exit: Exit,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("federation.yaml").write_text(SETTINGS)
    assert run(["run", *arguments]) == exit
    assert said in capsys.readouterr().err
    assert [path for path in Path("runs").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("error", "exit"),
    [
        (FedmolError(Exit.BAD_DATA, "there is no file data/test.csv", "name a file"), Exit.BAD_DATA),
        (OSError(errno.ENOSPC, "No space left on device", "report.html"), Exit.STORAGE),
        (PermissionError(errno.EACCES, "Permission denied", "report.html"), Exit.USAGE),
    ],
)
def test_what_ends_the_evaluation_keeps_the_model_and_says_so(
    error: Exception, exit: Exit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _evaluation_ends_with(error, tmp_path, monkeypatch)
    assert run(["run", "--run-id", "trial"]) == exit
    said = capsys.readouterr().err
    assert "the model is finished and kept in runs/trial/aggregator/model.safetensors" in said
    assert "continue with: fedmol run --resume --run-id trial --runs runs" in said


def test_a_defect_in_the_evaluation_keeps_the_model_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _evaluation_ends_with(ZeroDivisionError(), tmp_path, monkeypatch)
    with pytest.raises(ZeroDivisionError):
        run(["run", "--run-id", "trial"])
    assert "kept in runs/trial/aggregator/model.safetensors" in capsys.readouterr().err


def _evaluation_ends_with(error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object) -> None:
        raise error

    monkeypatch.chdir(folder)
    Path("federation.yaml").write_text(SETTINGS + "data: {limit: 60}\n")
    monkeypatch.setattr("fedmol.local.runner.run_federation", lambda *_: None)
    monkeypatch.setattr("fedmol.local.outcome.conclude", end)
