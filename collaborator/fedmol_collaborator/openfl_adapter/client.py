"""OpenFL's gRPC client with errors told apart: what may pass is tried again for a while, the rest ends the site.

Nothing that the aggregator answers is believed: it is compared with what was agreed, and with what it said before.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
from openfl.protocols import aggregator_pb2_grpc
from openfl.transport import AggregatorGRPCClient

from fedmol.errors import Exit, FedmolError
from fedmol.fl.messages import (
    JOIN,
    OPENING,
    REPORT,
    SERVICE,
    Joining,
    Message,
    OpeningRequest,
    Progress,
    RoundOpening,
    Welcome,
    read,
)
from fedmol.fl.payload import MODEL, Payload, Vector, decode
from fedmol.fl.refusals import decode_error
from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings
from fedmol.shown import plain
from fedmol_collaborator.aggregator_client import LARGEST_ANSWER, AggregatorClient
from fedmol_collaborator.outbound_log import OutboundLog
from fedmol_collaborator.proxy import through
from fedmol_collaborator.retries import Retries, describe
from fedmol_collaborator.task_checks import TaskChecks, broken, check_values
from fedmol_collaborator.tls_probe import try_handshake
from fedmol_collaborator.watchdog import Watchdog

log = logging.getLogger("fedmol.site")
T = TypeVar("T")
M = TypeVar("M", Welcome, RoundOpening)

_BETWEEN_QUESTIONS = 1.0  # seconds between two questions for tasks when there is nothing to do
_FOR_GOOD = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}  # what the same call would meet again


class StaleRound(Exception):
    """The round was closed while this site was away; the next question for tasks tells where the federation is."""


class FederationClient(AggregatorGRPCClient):  # type: ignore[misc]
    """`task_checks` must be set before the first question for tasks."""

    channel: Any
    task_checks: TaskChecks

    def __init__(
        self,
        network: NetworkSettings,
        certificates: CertificateFiles,
        site: str,
        payload: Payload,
        outbound_log: OutboundLog,
        watch: Watchdog,
        stop: threading.Event,
        **ids: str,
    ) -> None:
        self.network, self.certificates, self.site, self.stop = network, certificates, site, stop
        self.outbound_log, self.watch, self.sections = outbound_log, watch, payload.by_name
        self.opening: RoundOpening | None = None
        self.on_opening: Callable[[RoundOpening], None] = lambda _: None
        self.known_changes: Callable[[], int] = lambda: 0
        self._ids = {"run": ids["federation_uuid"], "peer": ids["collaborator_name"]}
        super().__init__(
            agg_addr=network.address, agg_port=network.port, use_tls=False, resend_data_on_reconnection=False, **ids
        )
        self.patience = Retries(self.uri, network.give_up_after, stop, watch.clock)
        self._shown: tuple[int, int, int] | None = None  # the certificate file that the channel was opened with
        self._former: Any = self.channel
        self._opening = threading.Lock()

    def reconnect(self) -> None:
        """Open a new channel. The certificates are read anew, and so may have been renewed."""
        with self._opening:
            self.channel.close()
            self._open_channel()

    def _open_channel(self) -> None:
        self._shown = _identity(self.certificates.certificate)
        largest = LARGEST_ANSWER + max(section.nbytes for section in self.sections.values())
        self.channel = AggregatorClient(
            self.network, self.certificates, self.outbound_log, self.stop, largest, self.watch.moved
        )
        self.stub = aggregator_pb2_grpc.AggregatorStub(self.channel)

    def _show_renewed(self) -> None:
        """Open a new channel if the certificate has been renewed: the old one may expire in the middle of a connection.

        Another thread's call may be under way: the former channel is closed with the next renewal only.
        """
        with self._opening:
            found = _identity(self.certificates.certificate)
            if found in (None, self._shown):
                return
            try:
                if not try_handshake(self.network.address, self.network.port, self.certificates, self.site, self.stop):
                    return
            except FedmolError as error:
                log.warning("the renewed certificate cannot be used, the former one is: %s", error.message)
                self._shown = found
                return
            self._former.close()
            self._former = self.channel
            self._open_channel()

    def connect(self) -> None:
        """Wait for the aggregator and open the channel."""
        self.patience.persist(self._try_to_connect)

    def _try_to_connect(self) -> None:
        if not self._handshake():
            raise ConnectionError(f"nobody answers at {self.uri}{through(self.network.address)}")
        self.reconnect()

    def join(self, joining: Joining) -> Welcome:
        return self._ask(JOIN, joining, Welcome)

    def report(self, progress: Progress, stop: threading.Event, patience: float) -> None:
        """One attempt, given up after `patience` seconds or when `stop` is set."""
        self._show_renewed()
        self._own(REPORT)(progress.encode(), timeout=patience, aside=stop)

    def tell(self, progress: Progress) -> None:
        """A report that has to arrive."""
        self._persist(lambda: self._own(REPORT)(progress.encode()))

    def final_model(self, rounds: int) -> Vector:
        """What left the last round, as the opening of the round after it said."""
        tensor = self.get_aggregated_tensor(MODEL, rounds, False, ("model",), True)
        return decode(self.sections[MODEL], tensor.data_bytes)

    def _ask(self, call: str, request: Message, kind: type[M]) -> M:
        reply = self._persist(lambda: self._own(call)(request.encode()))
        if len(reply) > LARGEST_ANSWER:
            raise broken(f"an answer to {call} of {len(reply):,} bytes to be read", f"{LARGEST_ANSWER:,} at most")
        return read(kind, reply, "the aggregator")

    def _own(self, call: str) -> Callable[..., bytes]:
        method: Callable[..., bytes] = self.channel.unary_unary(f"/{SERVICE}/{call}")
        return method

    def get_tasks(self) -> Any:
        """What there is to do, if it is what was agreed. How long to sleep is not the aggregator's to say."""
        asked = time.monotonic()
        tasks, round_number, _, quit = self._persist(super().get_tasks)
        round, names = round_number + 1, [task.name for task in tasks]
        if names or quit:
            self.task_checks.check_tasks(round, names)
            self._open(round, self.task_checks.again(round, names))
        else:
            self.stop.wait(max(0.0, asked + _BETWEEN_QUESTIONS - time.monotonic()))
        if quit:
            self.task_checks.check_end(round)
        elif names:
            self.task_checks.check_begun(round)
        return tasks, round_number, 0, quit

    def _open(self, round: int, again: bool) -> None:
        """Know what `round` starts from before it is worked in. Raises StaleRound when another round is open by now."""
        if self.opening is None or self.opening.round != round or again:
            request = OpeningRequest(**self._ids, changes=self.known_changes())
            opening = self._ask(OPENING, request, RoundOpening)
            self.on_opening(opening)
            self.opening = opening
        if self.opening.round != round:
            raise StaleRound(f"round {self.opening.round} is open")

    def get_aggregated_tensor(self, tensor_name: str, round_number: int, *rest: Any, **named: Any) -> Any:
        """A section of what the round starts from, if it is the one whose digest the round was opened with."""
        tensor = self._persist(
            lambda: super(FederationClient, self).get_aggregated_tensor(tensor_name, round_number, *rest, **named)
        )
        opening, section = self.opening, self.sections[tensor_name]
        assert opening is not None
        content = tensor.data_bytes
        check_values(section, content, hashlib.sha256(content).hexdigest(), opening)
        if (tensor.name, tensor.round_number) != (tensor_name, round_number):
            raise broken("another tensor than was asked for", f"{tensor_name} of round {opening.round}")
        return tensor

    def send_local_task_results(self, round_number: int, task_name: str, *rest: Any, **named: Any) -> Any:
        self._persist(
            lambda: super(FederationClient, self).send_local_task_results(round_number, task_name, *rest, **named)
        )
        self.task_checks.note_sent(round_number + 1, task_name)

    def validate_response(self, response: Any) -> None:
        try:
            super().validate_response(response)
        except AssertionError:
            raise broken("an answer to another site or run to be taken", f"those to {self.site}") from None

    def _persist(self, call: Callable[[], T]) -> T:
        """Repeat `call` until it works, it is refused, or `give_up_after` has passed since it first failed."""

        def judged() -> T:
            try:
                return call()
            except grpc.RpcError as error:
                self._judge(error)
                raise

        self._show_renewed()
        return self.patience.persist(judged, between=self._reopen)

    def _judge(self, error: grpc.RpcError) -> None:
        """Raise what cannot be cured by trying again."""
        detail = error.details() or ""
        refusal = decode_error(detail)
        if refusal is not None:
            raise refusal from None
        if error.code() is grpc.StatusCode.ABORTED:
            raise StaleRound(plain(detail)) from None
        if error.code() in _FOR_GOOD:
            raise FedmolError(
                Exit.MODEL_DIFFERS,
                f"the aggregator refuses a call: {describe(error)}",
                "install the same version of fedmol on both sides, and look for what stands between them",
            ) from None

    def _reopen(self) -> None:
        if self._handshake():
            self.reconnect()

    def _handshake(self) -> bool:
        self.watch.moved()
        return try_handshake(self.network.address, self.network.port, self.certificates, self.site, self.stop)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from one that has taken its place, through a link, too; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
