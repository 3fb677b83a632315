"""`fedmol doctor` as it is called, without an aggregator."""

from __future__ import annotations

import json
import socket
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit
from fedmol.federation import certificates
from fedmol.federation.certificates import CertificateFiles
from fedmol_collaborator.doctor import command

SETTINGS = "sites: [{name: north}]\nmodel: {preset: small, layers: 1}\ntraining: {batch_size: 4}\nnetwork: {port: %d}\n"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path, port: int) -> Path:
    (tmp_path / "federation.yaml").write_text(SETTINGS % port)
    return tmp_path / "federation.yaml"


def _results(path: Path) -> dict[str, str]:
    return {one["name"]: one["result"] for one in json.loads(path.read_text())["checks"]}


def test_a_site_whose_aggregator_is_not_there_is_examined_all_the_same(
    settings: Path, north: CertificateFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = tmp_path / "shard.csv"
    shard.write_text("smiles\nC\nCC\nCCO\nCCN\nC1CC1\nCC=O\n")
    arguments = ["--settings", settings, "--certs", north.ca.parent, "--site", "north", "--shard", shard]
    arguments += ["--work", tmp_path / "work", "--json", tmp_path / "found.json"]
    assert run(["doctor", *map(str, arguments)]) == Exit.NOT_READY
    results = _results(tmp_path / "found.json")
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


def _aggregators_call(settings: Path, authority: Path, folder: Path) -> list[str]:
    certificates.issue_aggregator(authority, folder / "aggregator", ["localhost"], timedelta(days=90))
    options = {"settings": settings, "certs": folder / "aggregator", "work": folder, "json": folder / "found.json"}
    return ["doctor", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def test_the_aggregators_own_folder(settings: Path, authority: Path, tmp_path: Path) -> None:
    assert run(_aggregators_call(settings, authority, tmp_path)) == Exit.DONE
    results = _results(tmp_path / "found.json")
    assert list(results) == ["authority", "certificate", "key", "validity", "address", "port", "work folder", "disk"]
    assert set(results.values()) == {"ok"}


def test_an_aggregators_port_that_is_taken_is_a_warning(
    settings: Path, port: int, authority: Path, tmp_path: Path
) -> None:
    with socket.create_server(("::", port), family=socket.AF_INET6):
        assert run(_aggregators_call(settings, authority, tmp_path)) == Exit.DONE
    assert _results(tmp_path / "found.json")["port"] == "warning"


@pytest.mark.parametrize("half", [["--site", "north"], ["--shard", "shard.csv"]])
def test_a_site_takes_its_name_and_its_shard(settings: Path, half: list[str], tmp_path: Path) -> None:
    assert run(["doctor", "--settings", str(settings), "--certs", str(tmp_path), *half]) == Exit.USAGE


def test_settings_without_an_address_cannot_be_examined(settings: Path, tmp_path: Path) -> None:
    settings.write_text(SETTINGS % 0)
    assert run(["doctor", "--settings", str(settings), "--certs", str(tmp_path)]) == Exit.BAD_SETTINGS


def test_without_the_collaborator_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, command.__name__)
    monkeypatch.setitem(sys.modules, "fedmol_collaborator.doctor", None)
    assert run(["doctor", "--help"]) == Exit.USAGE
    assert "comes with fedmol_collaborator" in capsys.readouterr().err
