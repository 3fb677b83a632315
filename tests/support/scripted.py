"""An aggregator of one site whose every answer can be replaced, and which records everything that it is sent.

It speaks over the federation's real certificates, and is honest but for what a test replaces:

    with ScriptedAggregator(stage, {"GetTasks": lambda honest: ...}) as one:
        stage.start("north")

`honest` makes the answer that an honest aggregator would give, a message.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from openfl.protocols import aggregator_pb2, base_pb2

from fedmol.chem.standardise import coding_digest
from fedmol.fl.federation import Settings
from fedmol.fl.identity import aggregator_name, shared_settings
from fedmol.fl.log_anchors import AnchoredLine, make
from fedmol.fl.messages import (
    ECHO,
    JOIN,
    OPENING,
    PROBE,
    REPORT,
    SERVICE,
    Agreement,
    Counts,
    Joining,
    LogAnchor,
    RoundOpening,
    Standing,
    Welcome,
)
from fedmol.fl.payload import MODEL, vector_digest
from fedmol.fl.run_manifest import manifest_of
from fedmol.fl.tasks import TASKS
from fedmol.fl.versions import SEMANTICS
from fedmol.pki.certificates import CertificateFiles
from fedmol.pki.pem import read_certificate, read_key
from fedmol.training.assembly import denoiser_of, vocabulary_of
from fedmol.training.parameter_vector import flatten, manifest
from tests.support.stage import AGGREGATOR, RUN, Stage, small_settings

OPENFL = "openfl.aggregator.Aggregator"
_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]

SITE = "north"

Honest = Callable[[], Any]
Answer = Callable[[Honest], Any]  # a message, or bytes


def one_site(**changes: Any) -> Settings:
    return small_settings(sites=[{"name": SITE}], **changes)


@dataclass(frozen=True)
class Received:
    call: str
    metadata: dict[str, str]
    body: bytes


class ScriptedAggregator:
    """`replaced` has the answers by the calls' names; they may abort the call by `refuse`."""

    def __init__(self, stage: Stage, replaced: Mapping[str, Answer] | None = None) -> None:
        self.stage, self.replaced = stage, dict(replaced or {})
        self.settings = stage.settings
        self.model = flatten(denoiser_of(self.settings))
        others = self.settings.strategy.payload(len(self.model)).by_name.keys() - {MODEL}
        self.others = {name: np.zeros(len(self.model), np.float32) for name in others}
        self.round, self.rounds, self.left = 1, stage.settings.training.rounds, list(TASKS)
        self.received: list[Received] = []
        self.over = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(16), options=_OPTIONS)
        calls = {
            OPENFL: {"GetTasks": self._tasks, "GetAggregatedTensor": self._tensor, "SendLocalTaskResults": self._take},
            SERVICE: {JOIN: self._join, REPORT: self._nothing, OPENING: self._opening, PROBE: self._probe},
        }
        calls[SERVICE][ECHO] = lambda body: body
        for service, methods in calls.items():
            handlers = {name: self._handler(name, method) for name, method in methods.items()}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        certs = self.stage.folder / "certs" / AGGREGATOR
        parts = [(certs / name).read_bytes() for name in ("party.key", "party.crt", "ca.crt")]
        credentials = grpc.ssl_server_credentials([(parts[0], parts[1])], parts[2], require_client_auth=True)
        self._server.add_secure_port(f"127.0.0.1:{self.settings.network.port}", credentials)
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.stop(grace=None).wait()

    def calls(self, name: str) -> list[Received]:
        """Those that came, in order."""
        return [one for one in self.received if one.call == name]

    @property
    def uploads(self) -> list[tuple[int, str]]:
        """The rounds and tasks of the uploads that came."""
        found = (aggregator_pb2.TaskResults.FromString(one.body) for one in self.calls("SendLocalTaskResults"))
        return [(one.round_number + 1, one.task_name) for one in found]

    def _handler(self, name: str, method: Callable[[bytes], Any]) -> grpc.RpcMethodHandler:
        def answer(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            body = b"".join(messages)
            if name == "SendLocalTaskResults":
                body = _joined(body)
            metadata = {key: str(value) for key, value in context.invocation_metadata()}
            with self._lock:
                self.received.append(Received(name, metadata, body))
            try:
                replaced = self.replaced.get(name)
                said = method(body) if replaced is None else replaced(lambda: method(body))
            except Refusal as refusal:
                context.abort(refusal.code, refusal.detail)
            if isinstance(said, bytes):
                return said
            return bytes(said.SerializeToString()) if hasattr(said, "SerializeToString") else bytes(said.encode())

        return grpc.stream_unary_rpc_method_handler(answer)

    def _header(self, body: bytes) -> Any:
        sender = aggregator_pb2.GetTasksRequest.FromString(body).header.sender  # the first field of every request
        return aggregator_pb2.MessageHeader(sender=aggregator_name(RUN), receiver=sender, federation_uuid=RUN)

    def _nothing(self, body: bytes) -> bytes:
        return b""

    def _probe(self, body: bytes) -> Standing:
        layout = manifest(denoiser_of(self.settings))
        return Standing(
            semantics=SEMANTICS,
            run=RUN,
            time=time.time(),
            vocabulary=coding_digest(vocabulary_of(self.settings)),
            manifest=layout.digest,
            payload=self.settings.strategy.payload(layout.size).digest,
            settings=shared_settings(self.settings),
        )

    def _join(self, body: bytes) -> Welcome:
        joining = Joining.model_validate_json(body)
        manifest = manifest_of(RUN, self.settings)
        if joining.counts is None:
            return Welcome(state="wait", manifest=manifest)
        return Welcome(state="go", agreement=self.agreement(joining.counts), manifest=manifest)

    def agreement(self, counts: Counts) -> Agreement:
        (site,) = self.settings.site_names
        return Agreement(
            census=counts.census,
            molecules={site: counts.molecules},
            local_steps=self.settings.training.local_steps,
            shards={site: counts.shard},
        )

    def _tasks(self, body: bytes) -> Any:
        over = self.round > self.rounds
        return aggregator_pb2.GetTasksResponse(
            header=self._header(body),
            round_number=self.round - 1,
            tasks=[] if over else [aggregator_pb2.Task(name=name) for name in self.left],
            quit=over,
        )

    def _opening(self, body: bytes) -> RoundOpening:
        counted = None if self.round == 1 else self.round - 1
        digests = {name: vector_digest(vector) for name, vector in {MODEL: self.model, **self.others}.items()}
        return RoundOpening(
            round=self.round,
            digests=digests,
            last_counted=counted,
            reason=None,
            members_since=1,
            anchor=None if self.round == 1 else self.anchor(digests[MODEL]),
        )

    def anchor(self, model_digest: str, **said: Any) -> LogAnchor:
        """Of a log with ten lines a round, signed by the aggregator; `said` replaces what it says."""
        round, files = self.round - 1, CertificateFiles.in_folder(self.stage.folder / "certs" / AGGREGATOR)
        line = AnchoredLine(RUN, round, 10 * round, hashlib.sha256(bytes([round])).hexdigest(), model_digest)
        return make(replace(line, **said), read_key(files.key), read_certificate(files.certificate))

    def _tensor(self, body: bytes) -> Any:
        asked = aggregator_pb2.GetAggregatedTensorRequest.FromString(body)
        vector = {MODEL: self.model, **self.others}[asked.tensor_name]
        tensor = base_pb2.NamedTensor(
            name=asked.tensor_name,
            round_number=asked.round_number,
            lossless=True,
            tags=["model", "compressed"],
            transformer_metadata=[base_pb2.MetadataProto(int_list=[len(vector)])],
            data_bytes=vector.tobytes(),
        )
        return aggregator_pb2.GetAggregatedTensorResponse(
            header=self._header(body), round_number=asked.round_number, tensor=tensor
        )

    def _take(self, body: bytes) -> Any:
        """What one site trains is the next round's model."""
        results = aggregator_pb2.TaskResults.FromString(body)
        with self._lock:
            if results.task_name in self.left:
                self.left.remove(results.task_name)
            for tensor in results.tensors:
                if tensor.name == MODEL:
                    self.model = np.frombuffer(tensor.data_bytes, "<f4")
            if not self.left:
                self.round, self.left = self.round + 1, list(TASKS)
        return aggregator_pb2.SendLocalTaskResultsResponse(header=self._header(body))


class Refusal(Exception):
    """Ends a call with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def _joined(stream: bytes) -> bytes:
    """The message that came in pieces. Concatenated protobuf messages are one, whose last field counts."""
    parts, place = [], 0
    while place < len(stream):  # each piece: 1: varint size, 2: bytes
        assert stream[place] == 0x08
        _, place = _varint(stream, place + 1)
        assert stream[place] == 0x12
        length, place = _varint(stream, place + 1)
        parts.append(stream[place : place + length])
        place += length
    return b"".join(parts)


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if not byte & 0x80:
            return value, place
