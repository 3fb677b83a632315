"""`fedmol doctor --site` as it is called, without an aggregator."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit
from fedmol.pki.certificates import CertificateFiles
from fedmol.telemetry.events.run_events import ModelReceived, RunFinished
from fedmol.telemetry.log import EventLog

SETTINGS = "sites: [{name: north}]\nmodel: {preset: small, layers: 1}\ntraining: {batch_size: 4}\nnetwork: {port: %d}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "federation.yaml").write_text(SETTINGS % server.getsockname()[1])
    return tmp_path / "federation.yaml"


def test_a_site_whose_aggregator_is_not_there_is_examined_all_the_same(
    settings: Path, north: CertificateFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = tmp_path / "shard.csv"
    shard.write_text("smiles\nC\nCC\nCCO\nCCN\nC1CC1\nCC=O\n")
    arguments = ["--settings", settings, "--certs", north.ca.parent, "--site", "north", "--shard", shard]
    arguments += ["--work", tmp_path / "work", "--json", tmp_path / "found.json"]
    assert run(["doctor", *map(str, arguments)]) == Exit.NOT_READY
    checks = json.loads((tmp_path / "found.json").read_text())["checks"]
    results = {one["name"]: one["result"] for one in checks}
    assert {name for name, result in results.items() if result == "failed"} == {"connection"}
    assert {name for name, result in results.items() if result == "skipped"} == {
        *("TLS", "aggregator's name", "admission", "clock", "round trip", "throughput", "messages"),
        *("same versions", "same model", "same settings", "seconds per round"),
    }
    said = capsys.readouterr()
    assert "nothing listens" in said.out
    assert "error: site north is not ready: connection\n" in said.err
    assert Exit.NOT_READY.page in said.err
    assert north.key.read_text().splitlines()[1] not in said.out + said.err + (tmp_path / "found.json").read_text()
    assert not (tmp_path / "work").exists()


def test_a_run_that_is_over_is_all_there_is_to_say(settings: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "model.safetensors").write_bytes(b"model")
    events = EventLog(work / "events.jsonl", run="trial-1", site="north")
    events.write(ModelReceived(model_digest="0", file_digest=hashlib.sha256(b"model").hexdigest(), bytes=5))
    events.write(RunFinished(model_digest="0"))
    options = {"settings": settings, "certs": tmp_path, "site": "north", "shard": tmp_path, "work": tmp_path / "work"}
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert run(["doctor", *arguments, "--run", "trial-1"]) == Exit.DONE
    assert run(["doctor", *arguments, "--run", "trial-2"]) == Exit.NOT_READY
