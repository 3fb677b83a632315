"""A message in pieces is written down once, by the call itself, whatever becomes of it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from openfl.protocols import aggregator_pb2, base_pb2

from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings
from fedmol_collaborator.aggregator_client import AggregatorClient
from fedmol_collaborator.outbound_log import OutboundLog

PATH = "/openfl.aggregator.Aggregator/SendLocalTaskResults"
MESSAGE = aggregator_pb2.TaskResults(round_number=3, task_name="train").SerializeToString()


class _Given(grpc.RpcError):  # type: ignore[misc]
    """What a call that was given up ends with."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED


class _Call:
    """One of gRPC's that takes so many pieces; then it fails, or is answered where it took all."""

    def __init__(self, pieces: Iterator[bytes], taken: int) -> None:
        self.cycle = self, pieces  # as gRPC's own calls: only the garbage collector ends it
        self.whole = len([piece for _, piece in zip(range(taken), pieces, strict=False)]) < taken

    def add_done_callback(self, done: Any) -> None:
        done(self)

    def result(self) -> bytes:
        if not self.whole:
            raise _Given
        return b"answer"


class _Channel:
    def __init__(self, taken: int) -> None:
        self.taken = taken

    def stream_unary(self, path: str) -> Any:
        class Method:
            future = staticmethod(lambda pieces, timeout: _Call(pieces, self.taken))

        return Method


def _line(outbound_log: OutboundLog, taken: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AggregatorClient:
    for name in ("ca.crt", "party.crt", "party.key"):
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(grpc, "ssl_channel_credentials", lambda *_: None)
    monkeypatch.setattr(grpc, "secure_channel", lambda *_, **__: _Channel(taken))
    return AggregatorClient(
        NetworkSettings(port=1), CertificateFiles.in_folder(folder), outbound_log, threading.Event()
    )


def _send(line: AggregatorClient) -> None:
    pieces = [base_pb2.DataStream(size=1, npbytes=MESSAGE[place : place + 1]) for place in range(len(MESSAGE))]
    line.stream_unary(PATH, base_pb2.DataStream.SerializeToString)(iter(pieces))


@pytest.mark.parametrize("taken", [len(MESSAGE) + 1, 4])
def test_a_message_in_pieces_is_written_down_once(taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = list[tuple[int, list[str]]]()
    outbound_log = OutboundLog(lambda kind, **said: written.append((said["bytes"], said["holds"])))
    line = _line(outbound_log, taken, tmp_path, monkeypatch)
    if taken > len(MESSAGE):
        _send(line)
        assert written == [(len(MESSAGE), ["round_number", "task_name"])]
    else:
        with pytest.raises(_Given):
            _send(line)
        assert written == [(4, ["round_number", "task_name"])]
    gc.collect()
    outbound_log.flush()
    assert len(written) == 1


def test_a_message_that_was_given_up_and_is_collected_meanwhile_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector may run at any moment, and so while a message is written down."""
    outbound_log = OutboundLog(lambda _: gc.collect(), again_after=0)
    line = _line(outbound_log, 4, tmp_path, monkeypatch)

    def work() -> None:
        with suppress(_Given):
            _send(line)
        outbound_log.note("Report", 1, ("run",))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
