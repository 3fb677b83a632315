from __future__ import annotations

from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit
from fedmol.runtime import call
from fedmol_aggregator.__main__ import command


@pytest.mark.parametrize("name", ["", " ", "a b", "a\nb", "../t1", "-a", ".", "x" * 65, "r\u00fcn"])
def test_what_can_be_no_run_s_id_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    work = tmp_path / "work"
    arguments = ["--settings", "x.yaml", "--run", name, "--certs", str(tmp_path), "--work", str(work)]
    assert call(command, arguments, "fedmol-aggregator") == Exit.USAGE
    assert "cannot be the id of a run" in capsys.readouterr().err
    assert run(["run", "--run-id", name, "--runs", str(work)]) == Exit.USAGE
    assert not work.exists()
