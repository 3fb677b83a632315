from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from fedmol.pki.certificates import CertificateFiles


@pytest.fixture
def listen() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Starts a server on a free port; it hands every connection to a function."""
    sockets: list[socket.socket] = []

    def start(answer: Callable[[socket.socket], None]) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    with peer, suppress(OSError):
                        answer(peer)

        threading.Thread(target=serve, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@pytest.fixture
def serve_tls(
    listen: Callable[[Callable[[socket.socket], None]], int],
) -> Callable[[CertificateFiles], int]:
    """Starts a TLS server that shows the certificate in some party's folder."""

    def start(files: CertificateFiles) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)

        def answer(peer: socket.socket) -> None:
            with context.wrap_socket(peer, server_side=True) as secure:
                secure.recv(1)

        return listen(answer)

    return start
