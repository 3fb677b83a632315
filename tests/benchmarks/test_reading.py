"""Every row is accounted for, in whole sources and in every dialect."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import origin
from benchmarks.reading import page
from benchmarks.reading.dialects import DIALECTS
from fedmol.data.embedded import embedded


@pytest.mark.slow
def test_a_small_run_accounts_for_every_row(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.reading", "--source", "embedded", "--number", "200"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=origin.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / page.DATA).read_text())
    assert {name.split("/")[1] for name in figures if name.startswith(page.DIALECT)} == {*DIALECTS}
    accounts = {name: one for name, one in figures.items() if name.endswith("/rows")}
    for name, one in accounts.items():
        parts = one["kept"], one["duplicates"], sum(one["rejected"].values()), one["blank"]
        assert one["value"] == sum(parts), name
    assert figures["embedded/rows"]["value"] == len(embedded())
    plain = figures["dialect/commas/rows"]
    assert (plain["value"], plain["blank"]) == (210, 3)
    assert {one["kept"] for name, one in accounts.items() if name.startswith(page.DIALECT)} == {plain["kept"]}
    assert all(one["value"] > 0 for name, one in figures.items() if "peak_bytes" in name or "a_second" in name)
    assert (tmp_path / page.PAGE).read_text() == page.render(figures)
