"""The floor of a round's cost: the same bytes over gRPC with mTLS and a weighted mean in float64, and nothing else.

    python -m benchmarks.federation.floor ADDRESS CERTIFICATES WEIGHTS FILE

serves rounds until it is ended, and prints one line whenever a round is closed: the SHA-256 of its mean. FILE holds the
values that everybody takes in the first round, WEIGHTS is a JSON object with each site's share. Nothing is checked,
hashed on the way or kept on a disk: a member takes the model in one answer and sends its update as a stream of pieces,
and the updates wait in memory until all are there.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

SERVICE = "floor.Floor"


class Rounds:
    """The open round, and the updates that have come. A member's name is that of its certificate."""

    def __init__(self, model: NDArray[np.float32], weights: Mapping[str, float]) -> None:
        self.model, self.weights = model, dict(sorted(weights.items()))
        self.answer = model.tobytes()
        self.updates: dict[str, NDArray[np.float32]] = {}
        self.arrived = threading.Condition()

    def take(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        return self.answer

    def send(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        site = context.auth_context()["x509_common_name"][0].decode()
        update = np.frombuffer(b"".join(messages), np.float32)
        with self.arrived:
            self.updates[site] = update
            self.arrived.notify()
        return b""

    def close(self) -> None:
        """Wait for everyone, and put the mean in the model's place."""
        with self.arrived:
            self.arrived.wait_for(lambda: self.updates.keys() == self.weights.keys())
            updates, self.updates = self.updates, {}
        total = np.zeros(len(self.model))
        for site, weight in self.weights.items():
            total += np.float64(weight) * updates[site]
        self.model = total.astype(np.float32)
        self.answer = self.model.tobytes()


def main(address: str, certificates: str, weights: str, file: str) -> None:
    shares: dict[str, float] = json.loads(weights)
    state = Rounds(np.fromfile(file, np.float32), shares)
    server = grpc.server(ThreadPoolExecutor(2 * len(shares)), options=[("grpc.max_send_message_length", -1)])
    handlers = {
        "Take": grpc.unary_unary_rpc_method_handler(state.take),
        "Send": grpc.stream_unary_rpc_method_handler(state.send),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    key, certificate, ca = ((Path(certificates) / name).read_bytes() for name in ("party.key", "party.crt", "ca.crt"))
    server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)], ca, True))
    server.start()
    print("ready", flush=True)
    while True:
        state.close()
        print("closed", flush=True)
        print(hashlib.sha256(state.answer).hexdigest(), flush=True)


class FloorMember:
    """A member of the floor's federation, as light as the other."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._take: Callable[..., bytes] = channel.unary_unary(f"/{SERVICE}/Take")
        self._send: Callable[..., Any] = channel.stream_unary(f"/{SERVICE}/Send")

    def take(self) -> int:
        """Take the model without looking at it; its length in bytes."""
        return len(self._take(b""))

    def send(self, pieces: Iterator[bytes]) -> None:
        self._send(pieces)


if __name__ == "__main__":
    main(*sys.argv[1:])
