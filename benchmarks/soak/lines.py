"""The lines between sites and aggregator: proxies through which every byte goes, and which can be disturbed."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from enum import Enum
from typing import Any

_HOST = "127.0.0.1"
_PIECE = 2**16  # bytes
_SLOW_RATE, _SLOW_DELAY = 300_000, 0.1  # bytes per second; seconds that each piece takes besides
_RESET = struct.pack("ii", 1, 0)  # for SO_LINGER: closing a connection resets it


class State(Enum):
    """What becomes of the connections that there are, and of new ones."""

    UP = "both as usual"
    DEAD = "both are reset"
    SILENT = "both stay open and carry nothing; those that there are for good"
    SLOW = "both are slow"


class _Connection:
    def __init__(self, silent: bool, *ends: asyncio.StreamWriter) -> None:
        self.silent, self.ends = silent, ends

    def reset(self) -> None:
        for end in self.ends:
            _reset(end)


class _Line:
    """One site's. All of it happens in the loop's thread."""

    def __init__(self, target: int) -> None:
        self.target, self.state = target, State.UP
        self._connections: set[_Connection] = set()

    async def listen(self) -> int:
        """The port at which the site finds the aggregator."""
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def become(self, state: State) -> None:
        self.state = state
        for connection in list(self._connections):
            if state is State.DEAD:
                connection.reset()
            elif state is State.SILENT:
                connection.silent = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.state is State.DEAD:
                raise ConnectionResetError
            answers, requests = await asyncio.open_connection(_HOST, self.target)
        except OSError:  # the aggregator is not there
            _reset(writer)
            return
        connection = _Connection(self.state is State.SILENT, writer, requests)
        self._connections.add(connection)
        try:
            await asyncio.gather(self._carry(connection, reader, requests), self._carry(connection, answers, writer))
        except OSError:
            pass  # one of the ends is gone
        finally:
            self._connections.discard(connection)
            connection.reset()

    async def _carry(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            if self.state is State.SLOW:
                await asyncio.sleep(_SLOW_DELAY + len(piece) / _SLOW_RATE)
            if not connection.silent:
                writer.write(piece)
                await writer.drain()
        if not connection.silent:
            writer.close()


class Lines:
    """One line for each site to the aggregator's port, until they are closed."""

    def __init__(self, sites: list[str], target: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lines", daemon=True)
        self._thread.start()
        self._lines = {site: _Line(target) for site in sites}
        self.ports = {site: self._run(line.listen()).result() for site, line in self._lines.items()}

    def become(self, site: str, state: State) -> None:
        self._run(self._lines[site].become(state)).result()

    def close(self) -> None:
        self._run(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for line in self._lines.values():
            line._server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _reset(writer: asyncio.StreamWriter) -> None:
    line: socket.socket | None = writer.get_extra_info("socket")
    if line is not None and line.fileno() >= 0:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
