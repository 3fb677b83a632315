"""`fedmol doctor --site` as it is called, without an aggregator."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit
from fedmol.federation.certificates import CertificateFiles

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
        *("TLS", "aggregator's name", "admission", "clock", "round trip", "throughput"),
        *("same code", "same model", "same settings", "seconds per round"),
    }
    said = capsys.readouterr()
    assert "nobody listens" in said.out
    assert "error: site north is not ready: connection\n" in said.err
    assert Exit.NOT_READY.page in said.err
    assert north.key.read_text().splitlines()[1] not in said.out + said.err + (tmp_path / "found.json").read_text()
    assert not (tmp_path / "work").exists()
