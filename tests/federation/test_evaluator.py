"""The evaluator beside a federation that is at work."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.report.run_record import read_record
from tests.support.stage import AGGREGATOR, PATIENCE, Stage, small_settings

SITE = "fedmol_collaborator.site_training:SiteTraining"

Build = Callable[[Settings], Stage]


def test_it_shows_molecules_while_the_run_goes_on_and_has_the_account_in_the_end(stage: Build) -> None:
    run = stage(small_settings(evaluation={"samples": 8, "nll_molecules": 4}))
    out, preview = run.folder / "results", run.folder / "results" / "preview.json"
    paths = {"--work": run.folder / AGGREGATOR, "--out": out, "--test": run.folder / "data" / "test.csv"}
    arguments = [str(word) for pair in paths.items() for word in pair]
    command = [sys.executable, "-m", "fedmol_aggregator.evaluator", "--molecules-per-round", "4", *arguments]
    evaluator = subprocess.Popen(command)  # before there is anything to read
    try:
        run.start(AGGREGATOR, "model")
        run.crash("west", f"{SITE}.train", "before", 2, "SIGSTOP")  # in round 2 the run has to wait
        until = time.monotonic() + PATIENCE
        while not preview.exists():
            assert time.monotonic() < until, run.log("west")
            time.sleep(0.05)
        assert json.loads(preview.read_text())["round"] == 1
        run.signal("west", signal.SIGCONT)
        assert run.wait(AGGREGATOR) == 0
        assert evaluator.wait(PATIENCE) == Exit.DONE
    finally:
        evaluator.kill()
        evaluator.wait()
    assert json.loads(preview.read_text())["samples"] == 4
    record = read_record(out)
    assert record.evaluation is not None
    assert record.evaluation.likelihood is not None
    assert (out / "model.safetensors").read_bytes() == (run.folder / AGGREGATOR / "model.safetensors").read_bytes()
    assert "3 of 3 rounds finished" in (out / "report.html").read_text()
