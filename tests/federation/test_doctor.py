"""`fedmol doctor` at a site, against a real aggregator that waits for its sites."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmol.errors import Exit
from fedmol.pki import certificates
from fedmol.telemetry.events.site_events import SiteRefused
from tests.support.stage import PATIENCE, Stage

DAY = timedelta(days=1)


def _examine(stage: Stage, out: Path, **replaced: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the checks by name."""
    files: dict[str, object] = {
        "settings": stage.folder / "settings.yaml",
        "certs": stage.folder / "certs" / "site-model",
        "site": "model",
        "shard": stage.folder / "sites" / "model" / "shard.csv",
        "work": stage.folder / "sites" / "model",
        "run": "stage",
        "json": out / "found.json",
        **replaced,
    }
    options = [word for name, value in files.items() for word in (f"--{name}", str(value))]
    ended = subprocess.run([sys.executable, "-m", "fedmol.cli.main", "doctor", *options], timeout=PATIENCE)
    return ended.returncode, {one["name"]: one for one in json.loads((out / "found.json").read_text())["checks"]}


def _failed(checks: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, one in checks.items() if one["result"] == "failed"}


def test_a_site_in_good_order_is_ready_and_leaves_no_trace(waiting: Stage, tmp_path: Path) -> None:
    log, folder = waiting.events_path().read_bytes(), waiting.folder / "sites" / "model"
    before = sorted(folder.rglob("*"))
    code, checks = _examine(waiting, tmp_path)
    assert code == Exit.DONE, checks
    assert {one["result"] for one in checks.values()} <= {"ok", "warning"}
    figures = {name: value for one in checks.values() for name, value in one["figures"].items()}
    assert abs(figures["clock_skew_seconds"]) <= figures["clock_skew_known_to_seconds"] + 0.1  # one clock, twice
    assert figures["round_trip_seconds"] > 0
    assert figures["throughput_bytes_per_second"] > 0
    training, transfer = 4 * figures["training_step_seconds"], figures["transfer_seconds"]
    assert figures["round_seconds"] == pytest.approx(training + transfer)
    assert checks["run"]["found"] == "the aggregator serves run stage"
    assert waiting.events_path().read_bytes() == log
    assert sorted(folder.rglob("*")) == before


def test_settings_that_differ_are_named(waiting: Stage, tmp_path: Path) -> None:
    document = yaml.safe_load((waiting.folder / "settings.yaml").read_text())
    document["training"]["batch_size"] = 17
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(document))
    code, checks = _examine(waiting, tmp_path, settings=tmp_path / "settings.yaml")
    assert (code, _failed(checks)) == (Exit.NOT_READY, {"same settings"})
    assert "batch_size is 17, the federation has 16" in checks["same settings"]["found"]


def test_a_federation_with_another_authority(waiting: Stage, tmp_path: Path) -> None:
    certificates.make_ca(tmp_path / "authority", "elsewhere", DAY)
    certificates.issue_site(tmp_path / "authority", tmp_path / "certs", "model", DAY)
    code, checks = _examine(waiting, tmp_path, certs=tmp_path / "certs")
    assert (code, _failed(checks)) == (Exit.NOT_READY, {"TLS"})
    assert checks["validity"]["result"] == "warning"  # a day is left
    assert checks["training step"]["result"] == "ok"


def test_a_certificate_that_the_aggregator_does_not_take(waiting: Stage, tmp_path: Path) -> None:
    """The site's own settings know the stranger, but the aggregator's do not."""
    certificates.issue_site(waiting.folder / "certs" / "authority", tmp_path / "certs", "stranger", 90 * DAY)
    document = yaml.safe_load((waiting.folder / "settings.yaml").read_text())
    document["sites"].append({"name": "stranger"})
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(document))
    changed = {"certs": tmp_path / "certs", "settings": tmp_path / "settings.yaml", "site": Path("stranger")}
    code, checks = _examine(waiting, tmp_path, **changed)
    assert (code, _failed(checks)) == (Exit.NOT_READY, {"admission"})
    assert "is not a site of this federation" in checks["admission"]["found"]
    assert "common name" in checks["admission"]["cure"]
    refused = [event for event in waiting.events(SiteRefused) if event.site == "stranger"]
    assert [event.body.reason for event in refused] == ["certificate-name"]
