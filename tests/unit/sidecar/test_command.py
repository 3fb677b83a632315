"""The sidecar as it is started and stopped."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from fedmol.cli.ending import call
from fedmol.errors import Exit
from fedmol.sidecar.__main__ import command

from .conftest import Story


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert call(command, ["--log", str(tmp_path), "--port", port], "fedmol-sidecar") == Exit.ADDRESS_IN_USE


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
