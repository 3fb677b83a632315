"""A bound on what a connection may send without its being read.

gRPC assembles a message in memory before it compares its length with the limit, so a member could have it hold
gigabytes. What the kernel has received on a connection is therefore compared with what the calls have been given of it;
a connection whose difference grows beyond what windows and a few messages explain is shut down.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from fedmol.connections import bytes_received, own, sockets

LARGEST_BACKLOG = 24 * 2**20  # bytes: the windows of HTTP/2 and TCP, and a message of each call that may be open
_LEAK = 256 * 2**10  # bytes a second that need no explanation: headers, TLS, uploads that came too late to be read
_PERIOD = 0.1  # seconds between two looks


@dataclass
class _Connection:
    received: int
    seen: float = field(default_factory=time.monotonic)
    delivered: int = 0  # since the last look
    backlog: float = 0.0


class Meter:
    """`cut` is told which connection was shut down."""

    def __init__(self, port: int, cut: Callable[[str], None]) -> None:
        self.port, self.cut = port, cut
        self._lock = threading.Lock()
        self._connections: dict[str, _Connection] = {}
        self._delivered: dict[str, int] = {}
        self._names: dict[int, str | None] = {}  # by inode, of the sockets that were there at the last look

    def delivered(self, connection: str, count: int) -> None:
        """A call has been given `count` bytes that came by `connection`, as gRPC names it."""
        name = _address(connection)
        with self._lock:
            self._delivered[name] = self._delivered.get(name, 0) + count

    def watch(self, stop: threading.Event) -> None:
        """Look at all connections until `stop` is set."""
        while not stop.wait(_PERIOD):
            self.look()

    def look(self) -> None:
        """Account for what has come since the last look, and shut down whoever has sent too much."""
        with self._lock:
            delivered, self._delivered = self._delivered, {}
        known, self._names = self._names, {}
        present, now = {}, time.monotonic()
        for number, inode in sockets():
            with suppress(OSError):  # gRPC has closed it meanwhile
                if inode not in known:
                    with own(number, inode) as connection:
                        known[inode] = self._name(connection)
                name = self._names[inode] = known[inode]
                if name is None:
                    continue
                received = bytes_received(number, inode)
                state = self._connections.get(name) or _Connection(received)
                unread = received - state.received - delivered.get(name, 0)
                state.backlog = max(0.0, state.backlog + unread - _LEAK * (now - state.seen))
                state.received, state.seen = received, now
                present[name] = state
                if state.backlog > LARGEST_BACKLOG:
                    with suppress(OSError), own(number, inode) as connection:
                        connection.shutdown(socket.SHUT_RDWR)
                    self.cut(name)
        self._connections = present

    def _name(self, connection: socket.socket) -> str | None:
        """The peer's address as gRPC writes it, if the socket is a connection to our port."""
        try:
            if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != self.port:
                return None
            host, port = connection.getpeername()[:2]
        except OSError:
            return None
        host = host.removeprefix("::ffff:")
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(maxsize=256)
def _address(connection: str) -> str:
    return unquote(connection).partition(":")[2]
