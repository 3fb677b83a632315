"""The sidecar as it is started and stopped."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from fedmol.errors import Exit
from fedmol.runtime import call
from fedmol.sidecar.__main__ import command, serve
from fedmol.sidecar.app import LOOPBACK
from fedmol.sidecar.log_watch import Watch
from tests.support.story import Story


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert call(command, ["--log", str(tmp_path), "--port", port], "fedmol-sidecar") == Exit.ADDRESS_IN_USE


@pytest.mark.parametrize("host", ["http://x", "x:8080", "*", "*.example.org", "x/y", ""])
def test_what_is_no_host_is_refused(tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, ["--log", str(tmp_path), "--answer-to", host], "fedmol-sidecar") == Exit.USAGE
    assert repr(host) in capsys.readouterr().err


def test_it_answers_to_loopback_and_the_names_that_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered: list[Sequence[str] | None] = []

    def serve(_: Watch, listening: socket.socket, names: Sequence[str] | None) -> None:
        listening.close()
        answered.append(names)

    monkeypatch.setattr("fedmol.sidecar.__main__.serve", serve)
    for options in (
        [],
        ["--host", "0.0.0.0"],
        ["--host", "0.0.0.0", "--answer-to", "a.example", "--answer-to", "fd::7"],
    ):
        assert call(command, ["--log", str(tmp_path), "--port", "0", *options], "fedmol-sidecar") == Exit.DONE
    assert answered == [LOOPBACK, None, (*LOOPBACK, "a.example", "[fd::7]")]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("0.0.0.0", "http://127.0.0.1:{port}/ and this machine's other addresses"),
        ("::", "http://[::1]:{port}/ and this machine's other addresses"),
        ("127.0.0.1", "http://127.0.0.1:{port}/"),
    ],
)
def test_it_names_an_address_that_one_can_open(
    host: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Listening:
        def getsockname(self) -> tuple[str, int]:
            return host, 8080

    monkeypatch.setattr("uvicorn.Server.run", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    serve(Watch(tmp_path), cast(socket.socket, Listening()), None)
    assert capsys.readouterr().err == f"showing {tmp_path} on {said.format(port=8080)}\n"


def test_it_stops_when_it_is_asked_to_before_it_serves(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "fedmol.sidecar", "--log", str(tmp_path), "--port", "0"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("showing")
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(timeout=30) == Exit.DONE
        finally:
            process.kill()


def test_it_stops_when_it_is_asked_to_even_while_someone_listens(story: Story) -> None:
    story.start()
    arguments = [sys.executable, "-m", "fedmol.sidecar", "--log", str(story.folder), "--port", "0"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split(" on ")[1].strip()
        with urllib.request.urlopen(f"{address}v1/events?after=-1", timeout=30) as stream:
            assert stream.readline().startswith(b"retry")
            process.send_signal(signal.SIGTERM)
            assert b"run_started" in stream.read()
        assert process.wait(timeout=30) == Exit.DONE
        assert process.stderr.read() == ""
