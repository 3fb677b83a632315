"""Honest uploads under attack: the page says what the data says, and the measurement runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.origin import ROOT
from benchmarks.security import page


@pytest.mark.federation
@pytest.mark.slow
def test_the_command_writes_data_and_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.security", "--small", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / page.DATA).read_text())
    assert {"slow line/member/upload_over_control", "slow line/none/peak_bytes"} <= set(figures)
    for figure in figures.values():
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert {"command", "commit", "machine"} <= set(figure)
    assert (tmp_path / page.PAGE).read_text() == page.render(figures)
    assert "no further than TCP" in (tmp_path / page.PAGE).read_text()
