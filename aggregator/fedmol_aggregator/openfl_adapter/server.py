"""The gRPC server: OpenFL's aggregator service and fedmol's own on one port with mTLS, in front of the round engine.

Every call is served as a stream of raw messages, whatever it is to the caller: only so does a handler run before the
body is read, see the certificate, and decide how much of the body it wants.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import grpc

from fedmol.errors import Exit, FedmolError
from fedmol.fl.engine import RoundEngine, StaleRound
from fedmol.fl.liveness import AwakeClock
from fedmol.fl.messages import ECHO, JOIN, OPENING, PROBE, REPORT, SERVICE
from fedmol.fl.refusals import encode_error
from fedmol.heartbeat import Heart
from fedmol.pki import denied, pem
from fedmol.pki.certificates import CertificateFiles
from fedmol_aggregator.admission import Admission, DenyList, Kind, Overload
from fedmol_aggregator.deliveries import Deliveries
from fedmol_aggregator.malloc import give_back
from fedmol_aggregator.openfl_adapter.calls import Calls
from fedmol_aggregator.openfl_adapter.downloads import Downloads
from fedmol_aggregator.openfl_adapter.meter import Meter
from fedmol_aggregator.openfl_adapter.streams import Gone, Streams
from fedmol_aggregator.openfl_adapter.wire import Malformed
from fedmol_aggregator.peer_checks import PeerChecks

log = logging.getLogger("fedmol.aggregator")

Call = Callable[[str, Iterator[bytes], grpc.ServicerContext], bytes]

_OPENFL = "openfl.aggregator.Aggregator"
_LARGEST_MESSAGE = 2 * 2**20 + 64 * 2**10  # bytes: a piece of an upload as OpenFL cuts it, and a little
_OPTIONS = [
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.so_reuseport", 0),  # else a second aggregator on the port would start and take half the calls
    ("grpc.max_connection_age_ms", 3_600_000),  # handshakes, and so certificates, are not older than that
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.bdp_probe", 0),  # else windows grow with the line, and what was sent ahead takes the more memory
    ("grpc.http2.lookahead_bytes", 256 * 2**10),
]
_TICK = 0.25  # seconds
_GRACE = 2  # times the longest that a call may take
_LARGE_MODEL = 128 * 2**20  # bytes; with smaller ones it costs more than it is worth
_MORE_SITES = 4  # that may be added while the server runs, without a wait for a thread
_MOST_UPLOADS = 32  # that are read at the same time


class FederationServer:
    def __init__(
        self,
        engine: RoundEngine,
        peer_checks: PeerChecks,
        deliveries: Deliveries,
        heart: Heart,
        clock: AwakeClock,
        address: str,
        certificates: CertificateFiles,
        longest: float,
    ) -> None:
        self.engine, self.peer_checks, self.deliveries, self.heart = engine, peer_checks, deliveries, heart
        self.clock, self.address, self.certificates = clock, address, certificates
        self.admission = Admission(
            peer_checks.roster,
            DenyList(certificates.ca.parent / denied.FILE, peer_checks.events),
            peer_checks.refusal_log,
        )
        self.calls = Calls(engine, peer_checks, Downloads(engine.terms.payload.nbytes), deliveries)
        self.meter = Meter(int(address.rpartition(":")[2]), self._cut)
        self.streams = Streams(longest, self.meter.delivered, clock)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer calls while the block lasts. Raises FedmolError ADDRESS_IN_USE."""
        server, over = self._listen(), threading.Event()
        repeats = self.peer_checks.refusal_log.repeats, self.engine.refusals.repeats
        for watch in (self.clock.watch, self.streams.watch, self.meter.watch, *(repeat.watch for repeat in repeats)):
            threading.Thread(target=watch, args=(over,), name="watch", daemon=True).start()
        try:
            yield
        finally:
            server.stop(grace=2).wait()
            over.set()
            with suppress(OSError):  # the disk is full, which is why the block ends
                for repeat in repeats:
                    repeat.settle(everything=True)

    def play(self, stop: threading.Event, take_changes: Callable[[], None]) -> None:
        """Close rounds until the last one is done or `stop` is set. `take_changes` is called again and again.

        Raises:
            FedmolError: QUORUM_LOST.
            OSError: the disk is full, or cannot be written.
        """
        while not stop.is_set() and not self.engine.finished:
            self.heart.beat()
            take_changes()
            if self.engine.tick(_TICK):
                log.info("round %d of %d is closed", self.engine.round - 1, self.engine.terms.rounds)
                if self.engine.terms.payload.nbytes > _LARGE_MODEL:
                    give_back()  # what lay between the pieces of the models that were sent
            self.peer_checks.check_quorum(self.engine.reported())

    def hand_out(self, stop: threading.Event, least: float, longest: float) -> set[str]:
        """Serve the finished run until all hold its model: for `least` to `longest` seconds, or until `stop`.

        Returns the members that have not said that they hold it.
        """
        began, members = self.clock(), self.peer_checks.rule.sites
        while not stop.wait(_TICK):
            self.heart.beat()
            waited, missing = self.clock() - began, self.deliveries.missing(members)
            if waited >= longest or (waited >= least and longest < math.inf and not missing):
                break
        return self.deliveries.missing(members)

    def _listen(self) -> grpc.Server:
        sites = len(self.peer_checks.roster.site_of) + _MORE_SITES
        control = ThreadPoolExecutor(sites * (Kind.CONTROL.value + Kind.DOWNLOAD.value) + 4, "call")
        uploads = ThreadPoolExecutor(min(_MOST_UPLOADS, sites * Kind.UPLOAD.value) + 2, "upload")
        grace = (
            "grpc.max_connection_age_grace_ms",
            round(1000 * _GRACE * self.streams.longest),
        )  # calls end by themselves
        server = grpc.server(control, options=[*_OPTIONS, grace])
        calls = self.calls
        openfl = {
            "Ping": self._handler(Kind.CONTROL, calls.ping),
            "GetTasks": self._handler(Kind.CONTROL, calls.tasks),
            "GetAggregatedTensor": self._handler(Kind.DOWNLOAD, calls.tensor),
            "SendLocalTaskResults": self._handler(Kind.UPLOAD, self._superseding(calls.results), uploads),
        }
        own = {JOIN: calls.join, REPORT: calls.report, PROBE: calls.probe, ECHO: calls.echo, OPENING: calls.opening}
        handlers = {name: self._handler(Kind.CONTROL, call) for name, call in own.items()}
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(_OPENFL, openfl),
                grpc.method_handlers_generic_handler(SERVICE, handlers),
            )
        )
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

    def _handler(self, kind: Kind, call: Call, pool: ThreadPoolExecutor | None = None) -> grpc.RpcMethodHandler:
        def answer(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            pem = context.auth_context()["x509_pem_cert"][0]
            try:
                with self.admission.enter(pem, kind) as site, self.streams.reading(messages, context) as incoming:
                    return call(site, incoming, context)
            except FedmolError as error:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, encode_error(error))
            except Malformed as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except StaleRound as error:
                context.abort(grpc.StatusCode.ABORTED, json.dumps({"stale": str(error)}))
            except Gone:
                return b""  # which nobody receives
            except Overload as error:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            except OSError as error:
                self.engine.fail(error)
                context.abort(grpc.StatusCode.UNAVAILABLE, f"the aggregator's disk: {error.strerror}")
            raise AssertionError("abort raises")

        if pool is not None:
            answer.experimental_thread_pool = pool  # type: ignore[attr-defined]
        return grpc.stream_unary_rpc_method_handler(answer)

    def _superseding(self, call: Call) -> Call:
        """A site's newer upload takes the place of the one that it has given up, or that hangs."""
        current: dict[str, grpc.ServicerContext] = {}
        lock = threading.Lock()

        def newest(site: str, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            with lock:
                older, current[site] = current.get(site), context
            if older is not None:
                older.cancel()
            try:
                return call(site, messages, context)
            finally:
                with lock:
                    if current.get(site) is context:
                        del current[site]

        return newest

    def _cut(self, connection: str) -> None:
        error = FedmolError(
            Exit.USAGE,
            f"the connection from {connection} was cut: it sent more than one message may hold",
            "install the same version of fedmol on both sides",
        )
        self.peer_checks.refusal_log.refused(connection.rpartition(":")[0], error)


def _credentials(files: CertificateFiles) -> grpc.ServerCredentials:
    """Read anew at each handshake, so that renewed certificates are taken up without a restart."""

    def read() -> Any:
        pair = (pem.content(files.key), pem.content(files.certificate))
        return grpc.ssl_server_certificate_configuration((pair,), root_certificates=pem.content(files.ca))

    return grpc.dynamic_ssl_server_credentials(read(), read, require_client_authentication=True)
