"""A member of a federation on the wire alone: it joins, takes the model and sends uploads, and checks nothing.

It needs neither torch nor OpenFL's collaborator, and holds no model: what it sends is read from a file while it is
sent. Everything it says can be said wrong, which the tests of the aggregator's defences make use of.

    with Member(address, certificates, "west", run) as west:
        west.join(introduction, counts)
        round, tasks, over = west.tasks()
        west.validate(round)
        west.train(round, update_path, molecules=100)

Rounds are counted from 1. gRPC's own `RpcError` is raised for whatever the aggregator refuses.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from openfl.protocols import aggregator_pb2, base_pb2

from fedmol.fl.identity import aggregator_name, peer_name
from fedmol.fl.messages import (
    JOIN,
    OPENING,
    REPORT,
    SERVICE,
    Agreement,
    Counts,
    Joining,
    OpeningRequest,
    Progress,
    RoundOpening,
    SitePhase,
    Welcome,
    read,
)
from fedmol.fl.tasks import LOSS, NEGATIVE_NLL, SECONDS, TRAIN, VALIDATE

OPENFL = "openfl.aggregator.Aggregator"
PIECE = 2 * 2**20  # bytes, as OpenFL cuts an upload
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own, also to several members in one process
]
_PATIENCE = 120.0  # seconds that a call may take
_BETWEEN_JOINS = 0.1  # seconds

Values = bytes | memoryview


def channel(address: str, certificates: Path | None, authority: Path) -> grpc.Channel:
    """A connection to the aggregator; `certificates` is a folder with party.key and party.crt, None shows nothing."""
    pair = (
        [None, None]
        if certificates is None
        else [(certificates / f"party.{end}").read_bytes() for end in ("key", "crt")]
    )
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(authority.read_bytes(), *pair), options=_OPTIONS)


class Member:
    def __init__(self, address: str, certificates: Path, site: str, run: str) -> None:
        self.site, self.run, self.peer = site, run, peer_name(site)
        self.channel = channel(address, certificates, certificates / "ca.crt")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def header(self, **changed: str) -> Any:
        said = {"sender": self.peer, "receiver": aggregator_name(self.run), "federation_uuid": self.run, **changed}
        return aggregator_pb2.MessageHeader(**said)

    def call(self, name: str, request: bytes, service: str = OPENFL, timeout: float = _PATIENCE) -> bytes:
        """Any call with any body that is one message."""
        method: Callable[..., bytes] = self.channel.unary_unary(f"/{service}/{name}")
        return method(request, timeout=timeout)

    def stream(self, name: str, messages: Iterable[bytes], service: str = OPENFL, timeout: float = _PATIENCE) -> bytes:
        """Any call with any body."""
        method: Callable[..., bytes] = self.channel.stream_unary(f"/{service}/{name}")
        return method(iter(messages), timeout=timeout)

    def join(self, joining: Joining, counts: Counts) -> Agreement:
        """Introduce the site, then again with its `counts` until everyone has, as a site does."""
        self.call(JOIN, joining.encode(), SERVICE)
        whole = joining.model_copy(update={"counts": counts}).encode()
        while True:
            welcome = read(Welcome, self.call(JOIN, whole, SERVICE), "the aggregator")
            if welcome.agreement is not None:
                return welcome.agreement
            time.sleep(_BETWEEN_JOINS)

    def report(self, phase: SitePhase, round: int | None = None, **more: Any) -> None:
        """A sign of life."""
        self.call(REPORT, Progress(run=self.run, peer=self.peer, round=round, phase=phase, **more).encode(), SERVICE)

    def tasks(self, **header: str) -> tuple[int, list[str], bool]:
        """The open round, what is left to do in it, and whether the run is over."""
        request = aggregator_pb2.GetTasksRequest(header=self.header(**header)).SerializeToString()
        answer = aggregator_pb2.GetTasksResponse.FromString(self.call("GetTasks", request))
        return answer.round_number + 1, [task.name for task in answer.tasks], answer.quit

    def opening(self) -> RoundOpening:
        """What the aggregator says of the open round before its model is taken."""
        asked = OpeningRequest(run=self.run, peer=self.peer)
        return read(RoundOpening, self.call(OPENING, asked.encode(), SERVICE), "the aggregator")

    def say_finished(self) -> None:
        """Say that the site holds the final model, once the run is over, as a site does that has checked it."""
        self.report("finished", model_digest=self.opening().model_digest)

    def model(self, round: int, **changed: Any) -> bytes:
        """The values of the model that `round` starts from."""
        answer = aggregator_pb2.GetAggregatedTensorResponse.FromString(self._model(round, **changed))
        return bytes(answer.tensor.data_bytes)

    def discard_model(self, round: int) -> int:
        """Take the model without looking at it; its answer's length in bytes."""
        return len(self._model(round))

    def _model(self, round: int, **changed: Any) -> bytes:
        said = {
            "header": self.header(),
            "tensor_name": "model",
            "tags": ("model",),
            "require_lossless": True,
            **changed,
        }
        request = aggregator_pb2.GetAggregatedTensorRequest(round_number=round - 1, **said)
        return self.call("GetAggregatedTensor", request.SerializeToString())

    def validate(self, round: int, nll: float = 80.0, molecules: int = 1) -> None:
        """Say what the round's model is worth here."""
        metrics = {NEGATIVE_NLL: -nll, SECONDS: 0.0}
        tensors = [metric(name, value, round, validated=True) for name, value in metrics.items()]
        self.send(VALIDATE.name, round, tensors, molecules)

    def train(self, round: int, update: Path | Values, molecules: int, loss: float = 2.0) -> None:
        """Send an update, from a file of float32 values or from memory."""
        if isinstance(update, Path):
            with (
                update.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped) as values,
            ):
                self.train(round, values, molecules, loss)
            return
        metrics = [metric(name, value, round) for name, value in ((LOSS, loss), (SECONDS, 0.0))]
        self.send(TRAIN.name, round, [*metrics, section(update, round)], molecules)

    def send(
        self, task: str, round: int, tensors: Iterable[tuple[bytes, Values]], molecules: int = 1, **header: str
    ) -> None:
        """An upload of any tensors, each as what comes before its values, and its values."""
        self.stream("SendLocalTaskResults", messages(self.results(task, round, tensors, molecules, **header)))

    def results(
        self, task: str, round: int, tensors: Iterable[tuple[bytes, Values]], molecules: int = 1, **header: str
    ) -> Iterator[Values]:
        """The bytes of an upload, a `TaskResults` message, in parts."""
        head = aggregator_pb2.TaskResults(
            header=self.header(**header), round_number=round - 1, task_name=task, data_size=molecules
        )
        yield head.SerializeToString()
        for before, values in tensors:
            front = before + (b"\x3a" + varint(len(values)) if len(values) else b"")
            yield b"\x2a" + varint(len(front) + len(values)) + front
            yield values


def tensor(
    name: str,
    values: Values,
    round: int,
    tags: Iterable[str],
    shape: Iterable[int],
    report: bool = False,
    **changed: Any,
) -> tuple[bytes, Values]:
    """A tensor of an upload: what comes before its values, and its values."""
    said = {
        "name": name,
        "round_number": round - 1,
        "lossless": True,
        "report": report,
        "tags": list(tags),
        "transformer_metadata": [base_pb2.MetadataProto(int_list=list(shape))],
        **changed,
    }
    return base_pb2.NamedTensor(**said).SerializeToString(), values


def metric(name: str, value: float, round: int, validated: bool = False, **changed: Any) -> tuple[bytes, Values]:
    """One number of an upload of `train`, or of the validation."""
    tags = ("compressed", "metric", "validate_agg") if validated else ("compressed", "metric")
    return tensor(name, np.float32(value).tobytes(), round, tags, (), report=True, **changed)


def section(values: Values, round: int, name: str = "model", **changed: Any) -> tuple[bytes, Values]:
    """A section of the payload in an upload of `train`."""
    said = {"tags": ("compressed", "trained"), "shape": (len(values) // 4,), **changed}
    return tensor(name, values, round, **said)


def messages(parts: Iterable[Values], size: int = PIECE) -> Iterator[bytes]:
    """`DataStream` messages with the parts in a row as their contents, of `size` bytes each."""
    waiting: list[Values] = []
    length = 0
    for part in parts:
        view = memoryview(part)
        while len(view):
            taken, view = view[: size - length], view[size - length :]
            waiting.append(taken)
            length += len(taken)
            if length == size:
                yield _message(waiting, length)
                waiting, length = [], 0
    if length:
        yield _message(waiting, length)


def _message(parts: list[Values], length: int) -> bytes:
    return b"".join((b"\x08", varint(length), b"\x12", varint(length), *parts))


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
