"""Sites that reach the aggregator through the HTTP proxy of their company, or in spite of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
import yaml

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.pki import certificates
from tests.support.stage import AGGREGATOR, Stage, small_settings

HOST = "aggregator.test"  # which nobody but the proxy can resolve


class Proxy:
    """A CONNECT proxy on the loopback that knows where `HOST` is; `answer` is what it says to everybody."""

    def __init__(self) -> None:
        self.answer = "HTTP/1.1 200 Connection established"
        self.asked: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:secret@127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += line.recv(4096)
            self.asked.append(head.decode())
            line.sendall(f"{self.answer}\r\n\r\n".encode())
            if " 200 " in self.answer:
                port = int(head.split(b" ")[1].rpartition(b":")[2])
                with socket.create_connection(("127.0.0.1", port)) as there:
                    threading.Thread(target=_copy, args=(there, line), daemon=True).start()
                    _copy(line, there)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


def elsewhere(run: Stage) -> Stage:
    """The sites know the aggregator by a name that this machine does not know."""
    certs = run.folder / "certs"
    certificates.issue_aggregator(certs / "authority", run.folder / "issued", [HOST], timedelta(days=1))
    for file in (run.folder / "issued").iterdir():
        file.replace(certs / AGGREGATOR / file.name)
    document = yaml.safe_load((run.folder / "settings.yaml").read_text())
    document["network"]["address"] = HOST
    own = run.folder / "sites.yaml"
    own.write_text(yaml.safe_dump(document))
    for site in run.sites:
        command = run.parties[site].command
        command[command.index("--settings") + 1] = str(own)
    return run


def test_a_whole_run_through_a_proxy(
    stage: Callable[[Settings], Stage], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", proxy.url)
    run = elsewhere(stage(small_settings()))
    run.start()
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
    asked = {head.splitlines()[0] for head in proxy.asked}
    connect = f"CONNECT {HOST}:{run.settings.network.port} HTTP"
    assert asked == {f"{connect}/1.0", f"{connect}/1.1"}  # the handshake before gRPC, and gRPC
    assert all("roxy-" in head for head in proxy.asked)  # the user's name and password
    assert "secret" not in run.log("west")


def test_a_proxy_that_will_not_is_named_at_once(
    stage: Callable[[Settings], Stage], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.answer = "HTTP/1.1 403 Forbidden"
    monkeypatch.setenv("https_proxy", proxy.url)
    run = elsewhere(stage(small_settings()))
    run.start("west")
    assert run.wait("west") == Exit.AGGREGATOR_UNREACHABLE
    said = run.log("west")
    assert "does not let this site connect to aggregator.test" in said
    assert "name aggregator.test in no_proxy" in said
    assert "secret" not in said


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy", "HTTPS_PROXY"])
def test_a_proxy_is_not_asked_for_this_machine(
    stage: Callable[[Settings], Stage], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")  # where nobody listens
    run = stage(small_settings(training={"rounds": 1}))
    run.start()
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
