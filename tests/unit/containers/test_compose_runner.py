from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlparse

import pytest
from click.testing import CliRunner

from fedmol.cli.up import disturb, down, up
from fedmol.containers.compose_project import State
from fedmol.containers.compose_runner import bring_data, change
from fedmol.containers.sidecar_events import EventStream
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import parse


def running(started: str = "1") -> State:
    return State("running", None, started)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (running(), running(), None),
        (None, running(), None),
        (running(), State("exited", 0, "1"), "container north has ended, exit code 0"),
        (running(), State("exited", 137, "1"), "container north has ended by a signal, exit code 137"),
        (running(), State("paused", None, "1"), "container north is paused"),
        (State("exited", 137, "1"), running("2"), "container north is running again"),
        (running("1"), running("2"), "container north is running"),
    ],
)
def test_what_happens_to_a_container_is_told(before: State | None, now: State, said: str | None) -> None:
    assert change("north", before, now) == said


class Sidecar(BaseHTTPRequestHandler):
    """Hands out two events a call and hangs up, as a sidecar that is restarted does."""

    asked: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        after = int(parse_qs(urlparse(self.path).query)["after"][0])
        self.asked.append(after)
        self.send_response(200)
        self.end_headers()
        for number in range(after + 1, after + 3):
            record = dict.fromkeys(("round", "phase")) | {
                "seq": number,
                "time": "2026-01-01T00:00:00.000+00:00",
                "run": "r",
                "site": "s",
                "kind": "k",
            }
            self.wfile.write(f"id: {number}\nevent: k\ndata: {json.dumps(record | {'previous': ''})}\n\n".encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Sidecar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_stream_that_breaks_is_taken_up_where_it_was(page: str) -> None:
    stream, seen = EventStream(lambda: page), list[int]()
    while len(seen) < 6:
        seen += [event.seq for event in stream.new()]
    assert seen[:6] == [0, 1, 2, 3, 4, 5]
    assert Sidecar.asked[:2] == [-1, 1]


@pytest.mark.parametrize(("command", "arguments"), [(down, ["nowhere"]), (disturb, ["nowhere", "north", "kill"])])
def test_a_run_that_is_not_there_is_named(command: object, arguments: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [*arguments, "--runs", str(tmp_path)])  # type: ignore[arg-type]
    assert isinstance(result.exception, FedmolError)
    assert result.exception.exit is Exit.USAGE
    assert "nowhere" in result.exception.message


def test_an_unknown_disturbance_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    result = CliRunner().invoke(disturb, ["run", "north", "explode", "--runs", str(tmp_path)])
    assert result.exit_code == 2
    assert "pause" in result.output


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Docker's client leaves its socket open
def test_without_an_engine_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    settings = tmp_path / "federation.yaml"
    settings.write_text("sites: [{name: north}]\n")
    result = CliRunner().invoke(up, ["--settings", str(settings), "--runs", str(tmp_path / "runs"), "--run-id", "one"])
    assert isinstance(result.exception, FedmolError)
    assert result.exception.exit is Exit.NO_ENGINE
    assert not (tmp_path / "runs").exists()
    del result
    gc.collect()


def test_a_file_of_molecules_is_named_as_its_container_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEDMOL_DATA", raising=False)
    (tmp_path / "ours.csv").write_text("smiles\nC\n")
    settings = parse({"sites": [{"name": "north"}], "data": {"source": str(tmp_path / "ours.csv")}}, "test")
    assert bring_data(settings).data.source == "/data/ours.csv"
    assert os.environ["FEDMOL_DATA"] == str(tmp_path)
    with pytest.raises(FedmolError, match=r"theirs\.csv"):
        bring_data(parse({"sites": [{"name": "north"}], "data": {"source": str(tmp_path / "theirs.csv")}}, "test"))
