"""fedmol run with wrong arguments: an exit code, a message with a cure, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit

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
