"""The one line to the aggregator, through which every message leaves: OpenFL's calls and fedmol's own.

The first message of a kind is logged before it leaves, repeats within a minute, an upload after its last piece. A call
has a deadline, and is given up within a moment when the site is to stop. An answer that is longer than any that was
agreed is cut off while it arrives: gRPC would first assemble it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError

from fedmol.connections import received_from
from fedmol.errors import Exit, FedmolError
from fedmol.names import endpoint
from fedmol.pki import pem
from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings
from fedmol_collaborator.message_fields import Scanner, fields_of
from fedmol_collaborator.outbound_log import OutboundLog
from fedmol_collaborator.proxy import channel_options
from fedmol_collaborator.retries import stopped

LARGEST_ANSWER = 4 * 2**20  # bytes of an answer that is no part of a model
_LARGEST_METADATA = 32 * 2**10  # bytes; an error's text comes in it
_WINDOWS = 8 * 2**20  # bytes that HTTP/2, TLS and another call's answer may add to what a call receives
_LOOK = 0.05  # seconds
_STREAMED = "openfl.aggregator.TaskResults"  # what OpenFL's streams are pieces of

Serializer = Callable[[Any], bytes]
Deserializer = Callable[[bytes], Any]


class AggregatorClient:
    """Made as OpenFL's stub wants a gRPC channel. `largest` is that of an answer, in bytes; `moved` hears of progress.

    Raises:
        FedmolError: CERTIFICATE_MISSING.
    """

    def __init__(
        self,
        network: NetworkSettings,
        files: CertificateFiles,
        outbound_log: OutboundLog,
        stop: threading.Event,
        largest: int = LARGEST_ANSWER,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self.port, self.deadline = network.port, network.call_deadline
        self.outbound_log, self.stop, self.largest, self.moved = outbound_log, stop, largest, moved
        options = [
            ("grpc.max_receive_message_length", largest),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", _LARGEST_METADATA),
            ("grpc.absolute_max_metadata_size", _LARGEST_METADATA),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.bdp_probe", 0),  # else windows grow with the line, and more is here before it is cut off
            ("grpc.enable_retries", 0),
            *channel_options(network.address),
        ]
        credentials = grpc.ssl_channel_credentials(*_papers(files))
        self._channel = grpc.secure_channel(endpoint(network.address, network.port), credentials, options=options)

    def close(self) -> None:
        self._channel.close()

    def unary_unary(
        self, path: str, request_serializer: Serializer = bytes, response_deserializer: Deserializer = bytes, **_: Any
    ) -> Callable[..., Any]:
        """As a gRPC channel's. A call `aside` the site's work is no progress, and given up when that event is set."""
        begin = self._channel.unary_unary(path).future

        def call(request: Any, timeout: float | None = None, aside: threading.Event | None = None) -> Any:
            body = request_serializer(request)
            self.outbound_log.note(_name(path), len(body), fields_of(request))
            return self._finish(path, begin(body, timeout=timeout or self.deadline), response_deserializer, aside)

        return call

    def stream_unary(
        self, path: str, request_serializer: Serializer = bytes, response_deserializer: Deserializer = bytes, **_: Any
    ) -> Callable[..., Any]:
        """As a gRPC channel's, for a message in pieces."""
        begin = self._channel.stream_unary(path).future

        def call(requests: Iterator[Any], timeout: float | None = None) -> Any:
            message = _Streamed(lambda size, holds: self.outbound_log.note(_name(path), size, holds))
            pieces = self._pieces(requests, request_serializer, message)
            try:
                sent = begin(pieces, timeout=timeout or self.deadline)
                return self._finish(path, sent, response_deserializer, None)
            finally:
                message.write_down()  # where it was given up

        return call

    def _pieces(self, requests: Iterator[Any], serialize: Serializer, message: _Streamed) -> Iterator[bytes]:
        for piece in requests:
            message.add(piece.npbytes)
            self.moved()
            yield serialize(piece)
        message.write_down()

    def _finish(self, path: str, call: Any, deserialize: Deserializer, aside: threading.Event | None) -> Any:
        """What the call answers, once it does.

        Raises:
            grpc.RpcError: it failed.
            FedmolError: TERMINATED, AGREEMENT_BROKEN or MODEL_DIFFERS.
        """
        stop = aside or self.stop
        if aside is None:
            self.moved()
        done, before = threading.Event(), received_from(self.port)
        call.add_done_callback(lambda _: done.set())
        while not done.wait(_LOOK):
            if stop.is_set():
                call.cancel()
                raise stopped()
            if self._received_since(before) > self.largest + _WINDOWS:
                call.cancel()
                self._channel.close()
                raise self._too_long(path)
        if aside is None:
            self.moved()
        try:
            answer = call.result()
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "CLIENT: Received" in (error.details() or ""):
                raise self._too_long(path) from None
            raise
        try:
            return deserialize(answer)
        except DecodeError:
            raise FedmolError(
                Exit.MODEL_DIFFERS,
                f"the aggregator's answer to {_name(path)} cannot be read",
                "install the same version of fedmol on both sides",
            ) from None

    def _received_since(self, before: dict[int, int]) -> int:
        return sum(count - before.get(inode, 0) for inode, count in received_from(self.port).items())

    def _too_long(self, path: str) -> FedmolError:
        return FedmolError(
            Exit.AGREEMENT_BROKEN,
            f"the aggregator answers {_name(path)} with more than the {self.largest:,} bytes that any answer may have",
            "ask the coordinator: nothing as long as that was agreed on",
        )


class _Streamed:
    """A message in pieces, which is written down once: when its last piece has left, or when it was given up.

    Not when the pieces' iterator is closed: the garbage collector does that to one that was given up, at any moment,
    and so while its thread holds the lock of what messages are written down with.
    """

    def __init__(self, note: Callable[[int, tuple[str, ...]], None]) -> None:
        self._scanner = Scanner(descriptor_pool.Default().FindMessageTypeByName(_STREAMED))
        self._note, self._size, self._noted, self._lock = note, 0, False, threading.Lock()

    def add(self, piece: bytes) -> None:
        self._scanner.feed(piece)
        self._size += len(piece)

    def write_down(self) -> None:
        with self._lock:
            noted, self._noted = self._noted, True
        if not noted:
            self._note(self._size, self._scanner.found)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _papers(files: CertificateFiles) -> list[bytes]:
    """Read anew for each line: they may have been renewed."""
    return [pem.content(path) for path in (files.ca, files.key, files.certificate)]
