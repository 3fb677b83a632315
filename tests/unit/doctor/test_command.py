"""`fedmol doctor` as it is called, for the aggregator."""

from __future__ import annotations

import json
import socket
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit
from fedmol.pki import certificates

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


def test_without_the_collaborator_a_site_is_told_what_to_install(
    settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "fedmol_collaborator.doctor.site_checks", raising=False)
    monkeypatch.setitem(sys.modules, "fedmol_collaborator.doctor", None)
    call = ["doctor", "--settings", settings, "--certs", tmp_path, "--site", "north", "--shard", tmp_path / "shard.csv"]
    assert run(list(map(str, call))) == Exit.EXTRA_MISSING
    assert "comes with fedmol_collaborator" in capsys.readouterr().err
