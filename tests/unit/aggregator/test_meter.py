"""A connection that sends more than is read is shut down, and no other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from fedmol_aggregator.openfl_adapter.meter import LARGEST_BACKLOG, Meter

_PIECE = bytes(2**20)


@dataclass
class Line:
    """A connection, and the meter of the port that it leads to."""

    client: socket.socket
    server: socket.socket
    meter: Meter
    cut: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "{}:{}".format(*self.client.getsockname())

    def send(self, count: int) -> None:
        """Send `count` bytes, and take them in as gRPC does, whether or not a call asks for them."""
        sender = threading.Thread(target=self._send, args=(count,))
        sender.start()
        while count > 0:
            count -= len(self.server.recv(2**20))
        sender.join()

    def _send(self, count: int) -> None:
        for start in range(0, count, len(_PIECE)):
            self.client.sendall(_PIECE[: count - start])

    def is_open(self) -> bool:
        self.client.setblocking(False)
        try:
            return self.client.recv(1) != b""
        except BlockingIOError:
            return True


@pytest.fixture
def line() -> Iterator[Line]:
    cut: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        meter = Meter(listener.getsockname()[1], cut.append)
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
            one = Line(client, server, meter, cut)
            meter.look()
            yield one


def test_what_nobody_reads_cuts_the_connection(line: Line) -> None:
    line.send(LARGEST_BACKLOG // 2)
    line.meter.look()
    assert line.is_open()
    assert not line.cut
    line.client.setblocking(True)
    line.send(LARGEST_BACKLOG)
    line.meter.look()
    assert not line.is_open()
    assert line.cut == [line.name]


def test_what_calls_were_given_counts_as_read(line: Line) -> None:
    for _ in range(4):
        line.send(LARGEST_BACKLOG // 2)
        line.meter.delivered(f"ipv4:{line.name.replace(':', '%3A')}", LARGEST_BACKLOG // 2)
        line.meter.look()
    assert line.is_open()
    assert not line.cut


def test_a_descriptor_that_another_connection_has_taken_over_is_told_apart(line: Line) -> None:
    line.send(LARGEST_BACKLOG // 2)
    line.meter.look()
    number = line.server.fileno()
    line.server.close()
    with (
        socket.create_server(("127.0.0.1", 0)) as elsewhere,
        socket.create_connection(elsewhere.getsockname()) as other,
    ):
        assert number in (elsewhere.fileno(), other.fileno())
        line.meter.look()
        assert not line.cut
