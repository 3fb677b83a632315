"""The server's calls in front of the round engine, without gRPC: what each asks of it, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from openfl.protocols import aggregator_pb2

from benchmarks.federation.member import Member, messages, metric, section
from fedmol.errors import Exit, FedmolError
from fedmol.fl.engine import StaleRound
from fedmol.fl.identity import aggregator_name, peer_name
from fedmol.fl.messages import LARGEST_CONTROL
from fedmol.fl.payload import MODEL
from fedmol.fl.strategies import FedAvg
from fedmol.fl.strategies.scaffold import Scaffold
from fedmol.fl.tasks import TRAIN, VALIDATE
from fedmol.telemetry.events.round_events import UpdateReceived, UpdateRefused
from fedmol_aggregator.deliveries import Deliveries
from fedmol_aggregator.openfl_adapter import calls as module
from fedmol_aggregator.openfl_adapter.calls import Calls
from fedmol_aggregator.openfl_adapter.downloads import Downloads
from fedmol_aggregator.openfl_adapter.streams import Gone
from fedmol_aggregator.openfl_adapter.wire import Malformed
from tests.support.in_memory import Federation

RUN, SITE, MOLECULES = "r", "a", {"a": 10, "b": 30}


class Context:
    """A caller that stays on the line, or has left it."""

    def __init__(self, active: bool = True) -> None:
        self.active = active

    def is_active(self) -> bool:
        return self.active

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return True

    def cancel(self) -> None:
        self.active = False


class Server:
    """Calls in front of an engine; `told` is what the checks of peers are asked."""

    def __init__(self, work: Path) -> None:
        self.federation = Federation(work, MOLECULES, FedAvg(), rounds=2)
        self.engine, self.told = self.federation.engine, list[tuple[str, ...]]()
        self.reported: Any = None
        self.deliveries = Deliveries(self.federation.events)
        peer_checks: Any = SimpleNamespace(
            roster=SimpleNamespace(run=RUN),
            admit=lambda *who: self.told.append(who),
            report=lambda *_: self.reported,
            join=lambda *_: b"welcome",
            probe=lambda *_: b"standing",
            opening=lambda *_: b"opening",
        )
        self.calls = Calls(self.engine, peer_checks, Downloads(self.engine.terms.payload.nbytes), self.deliveries)
        self.member = Member.__new__(Member)  # without a connection
        self.member.site, self.member.run, self.member.peer = SITE, RUN, peer_name(SITE)

    def ask(self, call: str, *parts: bytes, context: Context | None = None) -> bytes:
        method: Callable[..., bytes] = getattr(self.calls, call)
        return method(SITE, iter(parts), context or Context())

    def tensor(self, name: str = MODEL, round: int = 1, context: Context | None = None, **changed: Any) -> bytes:
        said = {"tensor_name": name, "round_number": round - 1, "tags": ("model",), **changed}
        request = aggregator_pb2.GetAggregatedTensorRequest(header=self.member.header(), **said)
        return self.ask("tensor", request.SerializeToString(), context=context)

    def send(self, task: str, tensors: list[Any], molecules: int = 10, round: int = 1) -> bytes:
        return self.ask("results", *messages(self.member.results(task, round, tensors, molecules)))

    def trained(self) -> list[Any]:
        values = self.federation.trained(SITE, 1).tobytes()
        return [metric("loss", 2.0, 1), metric("seconds", 3.0, 1), section(values, 1)]

    def validated(self) -> list[Any]:
        return [metric("negative_nll", -80.0, 1, True), metric("seconds", 1.0, 1, True)]

    def left(self) -> list[str]:
        return [task.name for task in self.engine.tasks(SITE)[1]]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(module, "_POLL", 0.0)
    return Server(tmp_path)


def test_who_asks_is_checked_and_answered_by_name(server: Server) -> None:
    ping = aggregator_pb2.PingRequest(header=server.member.header()).SerializeToString()
    answer = aggregator_pb2.PingResponse.FromString(server.ask("ping", ping))
    assert server.told == [(SITE, peer_name(SITE), RUN)]
    header = answer.header
    assert (header.sender, header.receiver, header.federation_uuid) == (aggregator_name(RUN), peer_name(SITE), RUN)


def test_tasks_are_those_that_are_left_in_a_round_counted_from_0(server: Server) -> None:
    request = aggregator_pb2.GetTasksRequest(header=server.member.header()).SerializeToString()

    def asked() -> tuple[int, list[str], int, bool]:
        answer = aggregator_pb2.GetTasksResponse.FromString(server.ask("tasks", request))
        return answer.round_number, [task.name for task in answer.tasks], answer.sleep_time, answer.quit

    assert asked() == (0, [VALIDATE.name, TRAIN.name], 0, False)
    server.send(VALIDATE.name, server.validated())
    assert asked() == (0, [TRAIN.name], 0, False)
    server.send(TRAIN.name, server.trained())
    assert asked() == (0, [], 1, False)
    server.federation.play(2)
    assert asked() == (2, [], 1, True)


def test_an_upload_counts_once_it_is_whole(server: Server) -> None:
    server.send(VALIDATE.name, server.validated())
    answer = server.send(TRAIN.name, server.trained())
    assert server.left() == []
    said = aggregator_pb2.SendLocalTaskResultsResponse.FromString(answer)
    assert said.header.receiver == peer_name(SITE)
    (event,) = server.federation.said(UpdateReceived)
    assert (event.site, event.round, event.body.molecules) == (SITE, 1, 10)
    server.federation.report("b", 1)
    assert server.engine.tick()


@pytest.mark.parametrize(
    ("upload", "said"),
    [
        (lambda server: server.send(TRAIN.name, server.trained(), molecules=11), "11 molecules where 10 were agreed"),
        (lambda server: server.send(TRAIN.name, server.trained(), round=2), "it is for round 2, and round 1 is open"),
        (lambda server: server.send(TRAIN.name, server.validated()), "which is not what was agreed"),
        (lambda server: server.send(TRAIN.name, server.trained()[:2]), "model"),
        (lambda server: server.ask("results", b"\xff\xff"), "is refused"),
    ],
    ids=["molecules", "round", "tags", "without-the-model", "no-upload"],
)
def test_an_upload_that_was_not_agreed_is_refused_and_leaves_the_task(
    server: Server, upload: Callable[[Server], object], said: str
) -> None:
    with pytest.raises(FedmolError, match=said) as refused:
        upload(server)
    assert refused.value.exit is Exit.UPDATE_REFUSED
    assert TRAIN.name in server.left()
    assert server.federation.said(UpdateRefused)


def test_the_model_of_the_open_round_is_given_out(server: Server) -> None:
    answer = aggregator_pb2.GetAggregatedTensorResponse.FromString(server.tensor())
    assert (answer.tensor.name, answer.round_number) == (MODEL, 0)
    assert answer.tensor.data_bytes == server.federation.model.tobytes()


def test_a_section_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.federation = Federation(tmp_path / "scaffold", MOLECULES, Scaffold(name="scaffold"), rounds=2)
    server.engine = server.calls.engine = server.federation.engine
    model, control = (
        np.frombuffer(aggregator_pb2.GetAggregatedTensorResponse.FromString(answer).tensor.data_bytes, "<f4")
        for answer in (server.tensor(MODEL), server.tensor("control"))
    )
    assert model.any()
    assert control.shape == model.shape
    assert not control.any()


@pytest.mark.parametrize("changed", [{"name": "weights"}, {"tags": ("trained",)}, {"report": True}])
def test_a_tensor_that_there_is_not_is_refused(server: Server, changed: dict[str, Any]) -> None:
    with pytest.raises(FedmolError, match="there is no tensor") as refused:
        server.tensor(**changed)
    assert refused.value.exit is Exit.MODEL_DIFFERS


@pytest.mark.parametrize("round", [1, 3])
def test_a_model_of_another_round_is_stale(server: Server, round: int) -> None:
    server.federation.play(1)
    with pytest.raises(StaleRound):
        server.tensor(round=round)


def test_a_caller_that_has_left_the_line_gets_no_model(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.calls.downloads, "wait_for_turn", lambda *_: False)
    with pytest.raises(Gone):
        server.tensor(context=Context(active=False))


def test_a_site_that_names_the_final_model_holds_it(server: Server) -> None:
    server.reported = SimpleNamespace(model_digest=server.engine.model_digest)
    server.ask("report", b"")
    assert server.deliveries.missing(MOLECULES) == {"a", "b"}  # the run goes on
    server.federation.play(2)
    server.ask("report", b"")
    assert server.deliveries.missing(MOLECULES) == {"a", "b"}  # that was another model
    server.reported = SimpleNamespace(model_digest=server.engine.model_digest)
    server.ask("report", b"")
    assert server.deliveries.missing(MOLECULES) == {"b"}


def test_an_echo_is_what_was_sent(server: Server) -> None:
    assert server.ask("echo", b"anything") == b"anything"


@pytest.mark.parametrize("parts", [(), (b"x" * (LARGEST_CONTROL + 1),)], ids=["nothing", "too-much"])
@pytest.mark.parametrize("call", ["ping", "tasks", "tensor", "join", "report", "probe", "opening"])
def test_a_call_is_one_message_of_a_bounded_length(server: Server, call: str, parts: tuple[bytes, ...]) -> None:
    with pytest.raises(Malformed):
        server.ask(call, *parts)
