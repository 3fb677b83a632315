"""What each call of OpenFL's aggregator service, and of fedmol's own, means to the round engine."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import grpc
from openfl.protocols import aggregator_pb2

from fedmol.errors import Exit, FedmolError
from fedmol.fl.engine import RoundEngine
from fedmol.fl.identity import aggregator_name, peer_name
from fedmol.fl.messages import LARGEST_CONTROL, LARGEST_ECHO
from fedmol.fl.payload import Section, encode
from fedmol.fl.tasks import TRAIN
from fedmol.fl.uploads import Reception
from fedmol_aggregator.deliveries import Deliveries
from fedmol_aggregator.openfl_adapter import wire
from fedmol_aggregator.openfl_adapter.downloads import Downloads
from fedmol_aggregator.openfl_adapter.streams import Gone
from fedmol_aggregator.openfl_adapter.wire import Malformed, Pieces, ResultsHead, TensorHead
from fedmol_aggregator.peer_checks import PeerChecks

Messages = Iterator[bytes]

_POLL = 2.0  # seconds that a question for tasks waits for some
_SLEEP = 1  # seconds that OpenFL's own collaborator is told to sleep when there are none

# The tags that OpenFL's codec puts on what a site sends, by task; the model's in an upload of `train`.
_METRIC_TAGS = {True: ("compressed", "metric"), False: ("compressed", "metric", "validate_agg")}
_MODEL_TAGS = ("compressed", "trained")
_FLOAT = struct.Struct("<f")


class Calls:
    """Each method takes the calling site and the messages of its request, and gives the answer's bytes."""

    def __init__(
        self, engine: RoundEngine, peer_checks: PeerChecks, downloads: Downloads, deliveries: Deliveries
    ) -> None:
        self.engine, self.peer_checks, self.downloads, self.deliveries = engine, peer_checks, downloads, deliveries
        self.run, self.name = peer_checks.roster.run, aggregator_name(peer_checks.roster.run)

    def ping(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        self._request(site, aggregator_pb2.PingRequest, messages)
        return bytes(aggregator_pb2.PingResponse(header=self._header(site)).SerializeToString())

    def tasks(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        """What the site has to do; the answer waits a little for there to be something."""
        self._request(site, aggregator_pb2.GetTasksRequest, messages)
        round, tasks = self.engine.tasks(site, _POLL)
        answer = aggregator_pb2.GetTasksResponse(
            header=self._header(site),
            round_number=round - 1,
            tasks=[aggregator_pb2.Task(name=task.name) for task in tasks],
            sleep_time=0 if tasks else _SLEEP,
            quit=self.engine.finished,
        )
        return bytes(answer.SerializeToString())

    def tensor(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        """One section of what the open round starts from."""
        request = self._request(site, aggregator_pb2.GetAggregatedTensorRequest, messages)
        sections, vectors = self.engine.terms.payload.by_name, self.engine.sections
        if request.tensor_name not in vectors or tuple(request.tags) != ("model",) or request.report:
            raise FedmolError(
                Exit.MODEL_DIFFERS,
                f"there is no tensor {request.tensor_name[:40]!r} in this federation",
                "install the same version of fedmol on both sides",
            )
        vectors = self.engine.entering(request.round_number + 1)
        if not self.downloads.wait_for_turn(site, context):
            raise Gone
        values = encode(sections[request.tensor_name], vectors[request.tensor_name])
        return wire.tensor_answer(self._header(site), request.round_number, request.tensor_name, values)

    def results(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        """An upload, taken in as it arrives."""
        pieces = Pieces(messages)
        try:
            head = wire.results_head(pieces)
        except Malformed as error:
            raise self.engine.refusal(site, self.engine.round, str(error)) from None
        self.peer_checks.admit(site, head.sender, head.run)
        with self.engine.receiving(site, head.round + 1, head.task) as reception:
            if reception is not None:
                try:
                    self._take_in(reception, head, pieces)
                except Malformed as error:
                    raise reception.refusal(f"cannot be read: {error}") from None
        return bytes(aggregator_pb2.SendLocalTaskResultsResponse(header=self._header(site)).SerializeToString())

    def _take_in(self, reception: Reception, head: ResultsHead, pieces: Pieces) -> None:
        agreed = self.engine.terms.molecules()[reception.site]
        if reception.task is TRAIN and head.data_size != agreed:
            raise reception.refusal(f"says {head.data_size} molecules where {agreed} were agreed")
        sections = self.engine.terms.payload.by_name
        for tensor in wire.tensors(pieces):
            section = sections.get(tensor.name) if reception.task.sends_payload else None
            self._check(reception, head, tensor, section)
            if section is None:
                reception.metric(tensor.name, _FLOAT.unpack(pieces.take(_FLOAT.size))[0])
            else:
                writer = reception.section(tensor.name)
                for piece in pieces.blocks(tensor.nbytes):
                    writer.write(piece)

    def _check(self, reception: Reception, head: ResultsHead, tensor: TensorHead, section: Section | None) -> None:
        """What OpenFL's codec says of a tensor must be what was agreed; the values are looked at as they come."""
        if section is None:
            tags, nbytes, shapes = _METRIC_TAGS[reception.task is TRAIN], _FLOAT.size, [((),), ((1,),)]
        else:
            tags, nbytes, shapes = _MODEL_TAGS, section.nbytes, [((section.length,),)]
        found = (tensor.round, tensor.tags, tensor.nbytes, tensor.report, tensor.lossless)
        if found != (head.round, tags, nbytes, section is None, True) or tensor.shapes not in shapes:
            raise reception.refusal(
                f"holds {tensor.name[:40]!r} as {tensor.nbytes} bytes of shape {tensor.shapes} with the tags "
                f"{','.join(tensor.tags)[:80]!r} for round {tensor.round + 1}, which is not what was agreed"
            )

    def join(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        return self.peer_checks.join(site, _only(messages, LARGEST_CONTROL))

    def report(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        progress = self.peer_checks.report(site, _only(messages, LARGEST_CONTROL), self.engine.round)
        if self.engine.finished and progress.model_digest == self.engine.model_digest:
            self.deliveries.note(site, self.engine.model_digest)
        return b""

    def probe(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        return self.peer_checks.probe(site, _only(messages, LARGEST_CONTROL))

    def echo(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        """What was sent, for a site to measure its line by."""
        return _only(messages, LARGEST_ECHO)

    def opening(self, site: str, messages: Messages, context: grpc.ServicerContext) -> bytes:
        """The open round: its model's digest, and whether the site's last update counted."""
        return self.peer_checks.opening(site, _only(messages, LARGEST_CONTROL), self.engine.opening(site))

    def _request(self, site: str, kind: Any, messages: Messages) -> Any:
        request = wire.parse(kind, _only(messages, LARGEST_CONTROL))
        self.peer_checks.admit(site, request.header.sender, request.header.federation_uuid)
        return request

    def _header(self, site: str) -> Any:
        return wire.header(self.name, peer_name(site), self.run)


def _only(messages: Messages, largest: int) -> bytes:
    """The one message of a call that is no stream."""
    message = next(messages, None)
    if message is None:
        raise Malformed("the call came without a message")
    if len(message) > largest:
        raise Malformed(f"the message has {len(message)} bytes, {largest} at most are read")
    return message
