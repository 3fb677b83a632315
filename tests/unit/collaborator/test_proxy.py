"""Which proxy is taken, and for whom."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol_collaborator.proxy import channel_options, connect, proxy_to, through


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("grpc", "https", "http", "no", "all"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)


def test_without_any_the_way_is_straight() -> None:
    assert proxy_to("fl.example.org") is None
    assert through("fl.example.org") == ""
    assert channel_options("fl.example.org") == [("grpc.enable_http_proxy", 0)]


def test_the_first_that_is_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTPS_PROXY", "grpc_proxy"):
        monkeypatch.setenv(variable, f"http://{variable.lower().replace('_', '-')}:3128")
        assert through("fl.example.org") == (
            f" through the proxy {variable.lower().replace('_', '-')}:3128 ({variable.lower()})"
        )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "a.localhost"])
def test_this_machine_is_reached_straight(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    assert proxy_to(host) is None


@pytest.mark.parametrize("exceptions", ["fl.example.org", ".example.org", "*", "a, example.org"])
def test_no_proxy_is_heeded(exceptions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", exceptions)
    assert proxy_to("fl.example.org") is None
    assert channel_options("fl.example.org") == [("grpc.enable_http_proxy", 0)]


@pytest.mark.parametrize("text", ["socks5://proxy:1080", "http://", "http://proxy:port", "https://proxy:3128"])
def test_what_is_no_http_proxy_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", text)
    with pytest.raises(FedmolError, match="https_proxy is not the address of an HTTP proxy") as caught:
        proxy_to("fl.example.org")
    assert caught.value.exit is Exit.AGGREGATOR_UNREACHABLE


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "user:secret@proxy:3128")
    assert through("fl.example.org") == " through the proxy proxy:3128 (https_proxy)"
    assert channel_options("fl.example.org") == [("grpc.http_proxy", "http://user:secret@proxy:3128")]


@contextmanager
def answering(code: int) -> Iterator[int]:
    """The port of a proxy that gives its first caller this answer."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def answer() -> None:
            line, _ = proxy.accept()
            with line:
                line.recv(4096)
                line.sendall(f"HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n".encode())

        threading.Thread(target=answer, daemon=True).start()
        yield proxy.getsockname()[1]


@pytest.mark.parametrize(
    ("code", "credentials", "message", "cure"),
    [
        (407, "", "asks for a user and password", "write them into https_proxy"),
        (407, "me:wrong@", "asks for another user and password", "write them into https_proxy"),
        (403, "", "does not let this site connect to fl.example.org, port 443", "have it allow CONNECT"),
        (451, "", "does not let this site connect to fl.example.org, port 443", "have it allow CONNECT"),
    ],
)
def test_what_a_proxy_refuses_has_the_cure_for_that(
    code: int, credentials: str, message: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(code) as port:
        monkeypatch.setenv("https_proxy", f"http://{credentials}127.0.0.1:{port}")
        with pytest.raises(FedmolError, match=message) as refused:
            connect("fl.example.org", 443, 30.0)
    assert refused.value.exit is Exit.AGGREGATOR_UNREACHABLE
    assert cure in refused.value.cure
    assert "wrong" not in str(refused.value)


@pytest.mark.parametrize("code", [408, 429, 502, 503])
def test_what_a_proxy_cannot_do_now_is_tried_again(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(code) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(OSError, match=str(code)):
            connect("fl.example.org", 443, 30.0)
