"""OpenFL's gRPC server behind fedmol's own gate, with joining and progress on the same port."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from openfl.protocols import aggregator_pb2_grpc
from openfl.transport import AggregatorGRPCServer
from openfl.transport.grpc.common import DEFAULT_CHANNEL_OPTIONS

from fedmol.errors import Exit, FedmolError
from fedmol.federation.certificates import CertificateFiles
from fedmol.federation.messages import ECHO, JOIN, PROBE, REPORT, SERVICE, encode_error
from fedmol.heartbeat import Heart
from fedmol_aggregator.gate import Gate
from fedmol_aggregator.openfl_adapter.aggregator import CheckedAggregator, StaleRound

_OPTIONS = [
    *DEFAULT_CHANNEL_OPTIONS,
    ("grpc.so_reuseport", 0),  # else a second aggregator on the port would start and take half the calls
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
]
_THREADS = 16
_TICK = 0.25  # seconds
_FAREWELL = 10.0  # seconds to wait for living sites to hear that the run is over


class FederationServer(AggregatorGRPCServer):  # type: ignore[misc]
    def __init__(
        self, aggregator: CheckedAggregator, gate: Gate, heart: Heart, address: str, certificates: CertificateFiles
    ) -> None:
        super().__init__(aggregator=aggregator, agg_port=0)
        self.gate, self.heart, self.address, self.certificates = gate, heart, address, certificates

    def validate_collaborator(self, request: Any, context: grpc.ServicerContext) -> None:
        """Called by OpenFL at the start of each of its calls."""
        header = request.header
        _refusing(context, lambda: self.gate.admit(_common_name(context), header.sender, header.federation_uuid))

    def GetAggregatedTensor(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _refusing(context, lambda: super(FederationServer, self).GetAggregatedTensor(request, context))

    def SendLocalTaskResults(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _refusing(context, lambda: super(FederationServer, self).SendLocalTaskResults(request, context))

    def serve(self, stop: threading.Event) -> None:
        """Serve until the run is over or `stop` is set.

        Raises:
            FedmolError: ADDRESS_IN_USE, QUORUM_LOST, or INTERNAL when a round could not be closed.
        """
        server = self._listen()
        try:
            while not stop.wait(_TICK) and not self.aggregator.finished:
                self.heart.beat()
                self.aggregator.tick()
                self._check()
            self._say_goodbye(stop)
        finally:
            server.stop(grace=2).wait()

    def _listen(self) -> grpc.Server:
        server = grpc.server(ThreadPoolExecutor(_THREADS, "rpc"), options=_OPTIONS)
        aggregator_pb2_grpc.add_AggregatorServicer_to_server(self, server)
        calls = {JOIN: self.gate.join, REPORT: self.gate.report, PROBE: self.gate.probe, ECHO: self.gate.echo}
        handlers = {name: grpc.unary_unary_rpc_method_handler(_answering(call)) for name, call in calls.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        try:
            server.add_secure_port(self.address, _credentials(self.certificates))
        except RuntimeError:
            raise FedmolError(
                Exit.ADDRESS_IN_USE,
                f"another program listens on {self.address}",
                "stop it (another aggregator?), or change network.port in federation.yaml",
            ) from None
        server.start()
        return server

    def _check(self) -> None:
        if self.aggregator.failure is not None:
            raise FedmolError(
                Exit.INTERNAL,
                f"the round could not be closed: {self.aggregator.failure}",
                "mend what is named above (a full disk?) and start the aggregator again: the round is replayed",
            )
        self.gate.check_quorum(self.aggregator.reported)

    def _say_goodbye(self, stop: threading.Event) -> None:
        until = time.monotonic() + _FAREWELL
        while not stop.wait(_TICK) and time.monotonic() < until:
            told = {self.aggregator.site_of[peer] for peer in self.aggregator.quit_job_sent_to}
            if set(self.aggregator.site_of.values()) <= told | self.gate.presence.lost():
                return


def _credentials(files: CertificateFiles) -> grpc.ServerCredentials:
    """Read anew at each handshake, so that renewed certificates are taken up without a restart."""

    def read() -> Any:
        pair = (Path(files.key).read_bytes(), Path(files.certificate).read_bytes())
        return grpc.ssl_server_certificate_configuration((pair,), root_certificates=Path(files.ca).read_bytes())

    return grpc.dynamic_ssl_server_credentials(read(), read, require_client_authentication=True)


def _common_name(context: grpc.ServicerContext) -> str | None:
    names = context.auth_context().get("x509_common_name", [])
    return names[0].decode() if names else None


def _answering(call: Callable[[str | None, bytes], bytes]) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        reply: bytes = _refusing(context, lambda: call(_common_name(context), request))
        return reply

    return answer


def _refusing(context: grpc.ServicerContext, step: Callable[[], Any]) -> Any:
    """Turn an error into a status that the site can read; `abort` raises."""
    try:
        return step()
    except FedmolError as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, encode_error(error))
    except StaleRound as error:
        context.abort(grpc.StatusCode.ABORTED, json.dumps({"stale": str(error)}))
