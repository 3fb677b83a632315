"""The two calls by which a site tries its line to the aggregator: neither joins."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import grpc

from fedmol.errors import Exit, FedmolError
from fedmol.fl.identity import peer_name
from fedmol.fl.messages import ECHO, PROBE, SERVICE, Probe, Standing, read
from fedmol.fl.refusals import decode_error
from fedmol.fl.versions import PROTOCOL, written
from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings
from fedmol_collaborator.aggregator_client import AggregatorClient
from fedmol_collaborator.outbound_log import OutboundLog

_PATIENCE = 20.0  # seconds


@dataclass(frozen=True)
class Sounding:
    """One probe: the answer, and this machine's clock and stop-watch around it."""

    standing: Standing
    sent: float  # seconds since 1970
    seconds: float


class Trial:
    """A line of its own, with the same certificates as joining. Used as a context."""

    def __init__(self, network: NetworkSettings, files: CertificateFiles, outbound_log: OutboundLog) -> None:
        self.line = AggregatorClient(network, files, outbound_log, threading.Event())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.line.close()

    def probe(self, site: str) -> Sounding:
        """Raises FedmolError with the aggregator's own refusal, or when the call does not get through."""
        request, sent, began = Probe(peer=peer_name(site)).encode(), time.time(), time.monotonic()
        reply = self._call(PROBE, request)
        return Sounding(read(Standing, reply, "the aggregator"), sent, time.monotonic() - began)

    def echo(self, size: int) -> float:
        """The seconds that `size` random bytes take to the aggregator and back."""
        payload, began = os.urandom(size), time.monotonic()
        self._call(ECHO, payload)
        return time.monotonic() - began

    def _call(self, name: str, request: bytes) -> bytes:
        method: Callable[..., bytes] = self.line.unary_unary(f"/{SERVICE}/{name}")
        try:
            return method(request, timeout=_PATIENCE)
        except grpc.RpcError as error:
            raise _reason(error) from None


def _reason(error: grpc.RpcError) -> FedmolError:
    refusal = decode_error(error.details() or "")
    if refusal is not None:
        return refusal
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return FedmolError(
            Exit.PROTOCOL_DIFFERS,
            "the aggregator's fedmol does not know this call",
            f"install a fedmol of protocol {written(PROTOCOL)} on both sides",
        )
    return FedmolError(
        Exit.AGGREGATOR_UNREACHABLE,
        f"TLS works, but a call does not get through: {error.code().name}: {error.details()}",
        "look for what stands between: an HTTP proxy (set no_proxy to the aggregator's name), or a load balancer "
        "that does not pass HTTP/2; on a slow line, try again when it is idle",
    )
