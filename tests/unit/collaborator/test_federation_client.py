"""The site's side of OpenFL's calls: refusals end it, a round that is over sends it on, and answers are checked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from openfl.protocols import aggregator_pb2, base_pb2

from fedmol.errors import Exit, FedmolError
from fedmol.fl.identity import aggregator_name, peer_name
from fedmol.fl.messages import OPENING, OpeningRequest, RoundOpening, read
from fedmol.fl.payload import MODEL, model_payload, vector_digest
from fedmol.fl.refusals import encode_error
from fedmol.fl.tasks import TRAIN, VALIDATE
from fedmol.heartbeat import Heart
from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings
from fedmol.telemetry.log import EventLog
from fedmol_collaborator.openfl_adapter.client import FederationClient, StaleRound
from fedmol_collaborator.outbound_log import OutboundLog
from fedmol_collaborator.task_checks import TaskChecks
from fedmol_collaborator.watchdog import Watchdog

RUN, SITE, ROUNDS = "r", "north", 3
WEIGHTS = np.array([1.0, -2.0, 0.5], np.float32)


class Failed(grpc.RpcError):  # type: ignore[misc]
    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


class Aggregator:
    """Stands in the place of the channel and of OpenFL's stub. `failures` are raised first, one a call."""

    def __init__(self) -> None:
        self.round, self.names, self.quit = 1, [VALIDATE.name, TRAIN.name], False
        self.digest, self.values = vector_digest(WEIGHTS), WEIGHTS.tobytes()
        self.failures: list[Exception] = []
        self.called: list[str] = []
        self.changes: list[int] = []
        self.receiver = peer_name(SITE)

    def unary_unary(self, path: str) -> Callable[..., bytes]:
        def call(body: bytes, **_: Any) -> bytes:
            name = path.rpartition("/")[2]
            self._called(name)
            if name != OPENING:
                return b""
            self.changes.append(read(OpeningRequest, body, "the site").changes)
            digests = {MODEL: self.digest}
            said = RoundOpening(round=self.round, digests=digests, last_counted=None, reason=None, members_since=1)
            return said.encode()

        return call

    def GetTasks(self, request: Any, **_: Any) -> Any:
        self._called("GetTasks")
        tasks = [aggregator_pb2.Task(name=name) for name in self.names]
        said = {"round_number": self.round - 1, "tasks": tasks, "sleep_time": 3600, "quit": self.quit}
        return aggregator_pb2.GetTasksResponse(header=self._header(), **said)

    def GetAggregatedTensor(self, request: Any, **_: Any) -> Any:
        self._called("GetAggregatedTensor")
        tensor = base_pb2.NamedTensor(
            name=request.tensor_name, round_number=request.round_number, data_bytes=self.values, lossless=True
        )
        return aggregator_pb2.GetAggregatedTensorResponse(
            header=self._header(), round_number=request.round_number, tensor=tensor
        )

    def close(self) -> None:
        self.called.append("close")

    def _called(self, name: str) -> None:
        self.called.append(name)
        if self.failures:
            raise self.failures.pop(0)

    def _header(self) -> Any:
        return aggregator_pb2.MessageHeader(
            sender=aggregator_name(RUN), receiver=self.receiver, federation_uuid=RUN, single_col_cert_common_name=""
        )


@pytest.fixture
def aggregator() -> Aggregator:
    return Aggregator()


@pytest.fixture
def client(aggregator: Aggregator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FederationClient:
    events = EventLog(tmp_path / "events.jsonl", run=RUN, site=SITE)
    monkeypatch.setattr(FederationClient, "_handshake", lambda self: False)  # nothing is opened anew
    monkeypatch.setattr("fedmol_collaborator.retries._FIRST_WAIT", 0.0)
    monkeypatch.setattr("fedmol_collaborator.retries._SHORTEST_WAIT", 0.0)
    monkeypatch.setattr("fedmol_collaborator.openfl_adapter.client._BETWEEN_QUESTIONS", 0.0)
    made = FederationClient(
        NetworkSettings(give_up_after=60, port=1),
        CertificateFiles.in_folder(tmp_path),
        SITE,
        model_payload(len(WEIGHTS)),
        OutboundLog(events.write),
        Watchdog(Heart(tmp_path), events, longest_call=10),
        threading.Event(),
        aggregator_uuid=aggregator_name(RUN),
        federation_uuid=RUN,
        collaborator_name=peer_name(SITE),
    )
    made.channel = made.stub = aggregator
    made.task_checks = TaskChecks(lambda: ROUNDS, events)
    return made


def _refused(call: Callable[[], object]) -> FedmolError:
    with pytest.raises(FedmolError) as caught:
        call()
    return caught.value


def test_a_round_is_opened_before_its_tasks_are_done_and_once(client: FederationClient, aggregator: Aggregator) -> None:
    heard: list[int] = []
    client.on_opening = lambda opening: heard.append(opening.round)
    client.known_changes = lambda: 2
    for _ in range(2):
        tasks, round_number, sleep, quit = client.get_tasks()
        assert ([task.name for task in tasks], round_number, quit) == ([VALIDATE.name, TRAIN.name], 0, False)
        assert sleep == 0  # whatever the aggregator says
    aggregator.round = 2
    client.get_tasks()
    assert heard == [1, 2]
    assert aggregator.changes == [2, 2]


def test_a_round_is_opened_again_when_something_is_asked_for_that_was_sent(
    client: FederationClient, aggregator: Aggregator
) -> None:
    client.get_tasks()
    client.task_checks.note_sent(1, VALIDATE.name)
    client.get_tasks()
    assert aggregator.called.count(OPENING) == 2


def test_tasks_of_a_round_that_was_closed_meanwhile_are_stale(
    client: FederationClient, aggregator: Aggregator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closing(*_: Any) -> Any:
        aggregator.round += 1
        return opened(*_)

    opened = client._ask
    monkeypatch.setattr(client, "_ask", closing)
    with pytest.raises(StaleRound, match="round 2 is open"):
        client.get_tasks()


@pytest.mark.parametrize("round", [1, 3, 5])
def test_the_run_is_over_after_the_agreed_rounds_only(
    client: FederationClient, aggregator: Aggregator, round: int
) -> None:
    aggregator.round, aggregator.names, aggregator.quit = round, [], True
    assert _refused(client.get_tasks).exit is Exit.AGREEMENT_BROKEN


def test_the_run_is_over_after_the_last_round(client: FederationClient, aggregator: Aggregator) -> None:
    aggregator.round, aggregator.names, aggregator.quit = ROUNDS + 1, [], True
    assert client.get_tasks()[3] is True
    assert client.opening is not None
    assert client.opening.round == ROUNDS + 1


def test_without_tasks_no_round_is_opened(client: FederationClient, aggregator: Aggregator) -> None:
    aggregator.names = []
    assert client.get_tasks() == ([], 0, 0, False)
    assert aggregator.called == ["GetTasks"]


def test_a_section_is_taken_if_it_is_what_the_round_was_opened_with(
    client: FederationClient, aggregator: Aggregator
) -> None:
    client.get_tasks()
    assert client.final_model(0).tolist() == WEIGHTS.tolist()
    aggregator.values = (2 * WEIGHTS).tobytes()
    assert "with digest" in _refused(lambda: client.final_model(0)).message
    aggregator.values = WEIGHTS.tobytes() + b"more"
    assert "of 16 bytes" in _refused(lambda: client.final_model(0)).message


def test_an_answer_to_another_site_is_not_taken(client: FederationClient, aggregator: Aggregator) -> None:
    aggregator.receiver = peer_name("south")
    assert _refused(client.get_tasks).exit is Exit.AGREEMENT_BROKEN


def test_what_may_pass_is_tried_again(client: FederationClient, aggregator: Aggregator) -> None:
    aggregator.failures = [Failed(grpc.StatusCode.UNAVAILABLE), Failed(grpc.StatusCode.DEADLINE_EXCEEDED)]
    client.get_tasks()
    assert aggregator.called.count("GetTasks") == 3


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED]
)
def test_what_the_same_call_would_meet_again_ends_the_site(
    client: FederationClient, aggregator: Aggregator, code: grpc.StatusCode
) -> None:
    aggregator.failures = [Failed(code, "no")]
    assert _refused(client.get_tasks).exit is Exit.MODEL_DIFFERS
    assert aggregator.called == ["GetTasks"]


def test_a_refusal_is_the_error_that_the_aggregator_names(client: FederationClient, aggregator: Aggregator) -> None:
    refusal = FedmolError(Exit.UPDATE_REFUSED, "too long", "shorten it")
    aggregator.failures = [Failed(grpc.StatusCode.FAILED_PRECONDITION, encode_error(refusal))]
    found = _refused(client.get_tasks)
    assert (found.exit, found.message, found.cure) == (Exit.UPDATE_REFUSED, "too long", "shorten it")


def test_a_round_that_is_over_is_no_error(client: FederationClient, aggregator: Aggregator) -> None:
    aggregator.failures = [Failed(grpc.StatusCode.ABORTED, "round 1 is over")]
    with pytest.raises(StaleRound, match="round 1 is over"):
        client.get_tasks()


def test_an_answer_of_the_wrong_length_is_not_read(
    client: FederationClient, aggregator: Aggregator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmol_collaborator.openfl_adapter.client.LARGEST_ANSWER", 10)
    found = _refused(client.get_tasks)
    assert found.exit is Exit.AGREEMENT_BROKEN
    assert f"an answer to {OPENING} of" in found.message
