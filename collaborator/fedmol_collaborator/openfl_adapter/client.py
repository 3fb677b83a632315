"""OpenFL's gRPC client with errors told apart: what may pass is tried again for a while, the rest ends the site."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc
from openfl.protocols import aggregator_pb2_grpc
from openfl.transport import AggregatorGRPCClient
from openfl.transport.grpc.common import DEFAULT_CHANNEL_OPTIONS

from fedmol.errors import Exit, FedmolError
from fedmol.federation.certificates import CertificateFiles
from fedmol.federation.messages import (
    JOIN,
    OPENING,
    REPORT,
    SERVICE,
    Joining,
    OpeningRequest,
    Progress,
    RoundOpening,
    Welcome,
    decode_error,
    read,
)
from fedmol.federation.settings import NetworkSettings
from fedmol_collaborator.handshake import try_handshake

log = logging.getLogger("fedmol.site")
T = TypeVar("T")

_OPTIONS = [
    *DEFAULT_CHANNEL_OPTIONS,
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.enable_retries", 0),
]
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0  # seconds between two attempts
_PULSE_DEADLINE = 5.0  # seconds


class StaleRound(Exception):
    """The round was closed while this site was away; the next question for tasks tells where the federation is."""


class _Deadline(grpc.UnaryUnaryClientInterceptor, grpc.StreamUnaryClientInterceptor):  # type: ignore[misc]
    """OpenFL's calls have no deadline of their own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
        return proceed(details._replace(timeout=self.seconds), request)

    def intercept_stream_unary(self, proceed: Any, details: Any, requests: Iterator[Any]) -> Any:
        return proceed(details._replace(timeout=self.seconds), requests)


class FederationClient(AggregatorGRPCClient):  # type: ignore[misc]
    channel: grpc.Channel

    def __init__(
        self, network: NetworkSettings, certificates: CertificateFiles, site: str, stop: threading.Event, **ids: str
    ) -> None:
        self.network, self.certificates, self.site, self.stop = network, certificates, site, stop
        self.opening: RoundOpening | None = None
        self.on_opening: Callable[[RoundOpening], None] = lambda _: None
        self.known_changes: Callable[[], int] = lambda: 0
        self._ids = {"run": ids["federation_uuid"], "peer": ids["collaborator_name"]}
        super().__init__(
            agg_addr=network.address, agg_port=network.port, use_tls=False, resend_data_on_reconnection=False, **ids
        )

    def reconnect(self) -> None:
        """Open a new channel. The certificates are read anew, and so may have been renewed."""
        self.channel.close()
        try:
            parts = [
                path.read_bytes()
                for path in (self.certificates.ca, self.certificates.key, self.certificates.certificate)
            ]
        except FileNotFoundError as error:
            raise FedmolError(
                Exit.CERTIFICATE_MISSING, f"there is no {error.filename}", "install it with `fedmol certs install`"
            ) from None
        self.channel = grpc.secure_channel(self.uri, grpc.ssl_channel_credentials(*parts), options=_OPTIONS)
        self.stub = aggregator_pb2_grpc.AggregatorStub(
            grpc.intercept_channel(self.channel, _Deadline(self.network.call_deadline))
        )

    def connect(self) -> None:
        """Wait for the aggregator and open the channel."""
        self._persist(self._try_to_connect)

    def _try_to_connect(self) -> None:
        if not try_handshake(self.network.address, self.network.port, self.certificates, self.site):
            raise ConnectionError(f"nobody answers at {self.uri}")
        self.reconnect()

    def join(self, joining: Joining) -> Welcome:
        reply = self._persist(lambda: self._own(JOIN)(joining.encode(), timeout=self.network.call_deadline))
        return read(Welcome, reply, "the aggregator")

    def report(self, progress: Progress) -> None:
        """One attempt, soon given up."""
        self._own(REPORT)(progress.encode(), timeout=_PULSE_DEADLINE)

    def _own(self, call: str) -> Callable[..., bytes]:
        method: Callable[..., bytes] = self.channel.unary_unary(f"/{SERVICE}/{call}")
        return method

    def get_tasks(self) -> Any:
        """The aggregator waits a little with its answer when there is nothing to do, so there is no need to sleep."""
        tasks, round_number, _, quit = self._persist(super().get_tasks)
        if tasks and (self.opening is None or self.opening.round != round_number + 1):
            request = OpeningRequest(**self._ids, changes=self.known_changes()).encode()
            reply = self._persist(lambda: self._own(OPENING)(request, timeout=self.network.call_deadline))
            self.opening = read(RoundOpening, reply, "the aggregator")
            self.on_opening(self.opening)
        return tasks, round_number, 0, quit

    def get_aggregated_tensor(self, tensor_name: str, round_number: int, *rest: Any, **named: Any) -> Any:
        """A section of what the round starts from, if it is the one whose digest the round was opened with."""
        tensor = self._persist(
            lambda: super(FederationClient, self).get_aggregated_tensor(tensor_name, round_number, *rest, **named)
        )
        opening = self.opening
        if opening is not None and opening.round == round_number + 1:
            found, said = hashlib.sha256(tensor.data_bytes).hexdigest(), opening.digests.get(tensor_name, "none")
            if found != said:
                raise FedmolError(
                    Exit.MODEL_DIFFERS,
                    f"the {tensor_name} of round {opening.round} came with digest {found[:12]}, {said[:12]} was said",
                    "ask the coordinator: the aggregator does not send the model that it names",
                )
        return tensor

    def send_local_task_results(self, *arguments: Any, **named: Any) -> Any:
        return self._persist(lambda: super(FederationClient, self).send_local_task_results(*arguments, **named))

    def _persist(self, call: Callable[[], T]) -> T:
        """Repeat `call` until it works, it is refused, or `give_up_after` has passed since it first failed."""
        began, wait = time.monotonic(), _FIRST_WAIT
        while True:
            if self.stop.is_set():
                raise FedmolError(
                    Exit.TERMINATED, "the site was asked to stop", "start it again with the same arguments: it goes on"
                )
            try:
                return call()
            except (grpc.RpcError, ConnectionError) as error:
                self._judge(error)
                if time.monotonic() - began > self.network.give_up_after:
                    raise self._unreachable(error) from None
                log.warning("aggregator at %s: %s; trying again in %.1f s", self.uri, _describe(error), wait)
                self.stop.wait(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
                if isinstance(error, grpc.RpcError):
                    self._reopen()

    def _judge(self, error: Exception) -> None:
        """Raise what cannot be cured by trying again."""
        if not isinstance(error, grpc.RpcError):
            return
        refusal = decode_error(error.details() or "")
        if refusal is not None:
            raise refusal from None
        if error.code() is grpc.StatusCode.ABORTED:
            raise StaleRound(error.details()) from None

    def _reopen(self) -> None:
        if try_handshake(self.network.address, self.network.port, self.certificates, self.site):
            self.reconnect()

    def _unreachable(self, error: Exception) -> FedmolError:
        return FedmolError(
            Exit.AGGREGATOR_UNREACHABLE,
            f"the aggregator at {self.uri} was not reached for {self.network.give_up_after:.0f} s: {_describe(error)}",
            "check the address, the port and the firewall, and whether the aggregator runs",
        )


def _describe(error: Exception) -> str:
    return f"{error.code().name}: {error.details()}" if isinstance(error, grpc.RpcError) else str(error)
