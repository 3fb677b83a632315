"""What a member with a valid certificate can send: uploads that are honest but for one thing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from benchmarks.federation.member import OPENFL, PIECE, Member, Values, messages, metric, section
from fedmol.errors import Exit
from fedmol.fl.messages import ECHO, JOIN, OPENING, PROBE, REPORT, SERVICE
from fedmol.fl.refusals import decode_error
from fedmol.fl.tasks import LOSS, SECONDS, TRAIN
from fedmol.pki import certificates
from fedmol.telemetry.events.round_events import UpdateRefused
from tests.support.light import Light

ATTACKER = "west"
UPLOAD = "SendLocalTaskResults"
PATHS = [
    *(f"/{OPENFL}/{name}" for name in ("Ping", "GetTasks", "GetAggregatedTensor", UPLOAD)),
    *(f"/{SERVICE}/{name}" for name in (JOIN, REPORT, PROBE, OPENING, ECHO)),
]
ANSWER = 10.0  # seconds after which somebody who should be answered at once was not
Tensor = tuple[bytes, Values]


@dataclass(frozen=True)
class Draft:
    """An honest upload of `train` in parts, to be put together in another way."""

    member: Member
    round: int
    values: bytes
    current: bytes  # the model that the round starts from
    molecules: int

    def metrics(self) -> list[Tensor]:
        return [metric(LOSS, 2.0, self.round), metric(SECONDS, 0.0, self.round)]

    def model(self, values: bytes | None = None, **changed: Any) -> Tensor:
        return section(self.values if values is None else values, self.round, **changed)

    def whole(self, *tensors: Tensor, task: str = TRAIN.name, molecules: int | None = None, **header: str) -> bytes:
        """A `TaskResults` message with these tensors."""
        size = self.molecules if molecules is None else molecules
        return b"".join(self.member.results(task, self.round, tensors, size, **header))

    def with_model(self, values: bytes | None = None, **changed: Any) -> bytes:
        """The honest upload with another model tensor."""
        return self.whole(*self.metrics(), self.model(values, **changed))

    def honest(self) -> bytes:
        return self.with_model()

    def send(self, upload: bytes, size: int = PIECE) -> None:
        self.member.stream(UPLOAD, messages([upload], size))


def draft(light: Light, site: str = ATTACKER) -> Draft:
    values, current = light.update(site).tobytes(), light.model.tobytes()
    return Draft(light.members[site], light.round, values, current, light.molecules[site])


def refused(light: Light, stream: Iterable[bytes], site: str = ATTACKER) -> None:
    """Send the messages as an upload: it is refused by name, which is logged, and changes nothing in its round."""
    before = len(light.stage.events(UpdateRefused))
    with pytest.raises(grpc.RpcError) as answer:
        light.members[site].stream(UPLOAD, stream)
    assert answer.value.code() is grpc.StatusCode.FAILED_PRECONDITION, answer.value
    said = decode_error(answer.value.details())
    assert said is not None
    assert said.exit is Exit.UPDATE_REFUSED
    logged = light.stage.events(UpdateRefused)[before:]
    assert [(event.site, event.round) for event in logged] == [(site, light.round)]
    light.play()


def refusal(call: Callable[[], object]) -> Any:
    """The error with which a call is refused, once it does not come too soon after others."""
    while True:
        with pytest.raises(grpc.RpcError) as answer:
            call()
        if "calls a second" not in str(answer.value.details()):
            return answer.value
        time.sleep(0.2)


class Hanging:
    """Calls that were begun with some messages, and do not go on. They end with the block."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel, self.calls = channel, list[Any]()
        self._over = threading.Event()

    def __enter__(self) -> Hanging:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for call in self.calls:
            call.cancel()

    def begin(self, path: str, *first: bytes) -> Any:
        """One call of the method `path`."""
        self.calls.append(self.channel.stream_unary(path).future(self._messages(first)))
        return self.calls[-1]

    def _messages(self, first: Iterable[bytes]) -> Iterator[bytes]:
        yield from first
        self._over.wait()


def stranger(light: Light, folder: Path, name: str = "stranger", validity: timedelta = timedelta(days=1)) -> Path:
    """Certificates of somebody whom the federation's authority knows and its settings do not."""
    certificates.issue_site(light.stage.folder / "certs" / "authority", folder, name, validity)
    return folder
