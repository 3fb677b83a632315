"""One attacker, in a process of its own until it is ended:

    python -m benchmarks.security.attack LOAD IDENTITY ADDRESS CERTIFICATES

LOAD is one of `LOADS`; IDENTITY is `member` or `nobody` (a certificate of the federation's authority whose name is in
no federation), each with a folder under CERTIFICATES, or `none`: without a certificate nobody gets further than TCP.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import grpc

from benchmarks.federation.cases import RUN
from benchmarks.federation.member import Member, messages, metric, section

LOADS = {
    "slow line": "an upload of which 16 KiB come every 0.2 s",
    "dead line": "an upload of which 1 MiB comes and then nothing",
    "16 idle streams": "uploads that are opened and say nothing",
    "200 idle streams": "the same",
    "500 MB calls": "bodies of 500 MB in one message, one after another",
}
IDENTITIES = ("member", "nobody", "none")
_LARGE = 500 * 10**6  # bytes
_AGAIN = 1.0  # seconds after which what was refused is tried again


def main(load: str, identity: str, address: str, certificates: str) -> None:
    print("ready", flush=True)
    if identity == "none":
        _without_certificate(load, address)
    else:
        _with_certificate(load, Path(certificates) / identity, identity, address)


def _with_certificate(load: str, folder: Path, name: str, address: str) -> None:
    def again(body: Callable[[Member], Iterator[bytes]]) -> None:
        while True:
            with Member(address, folder, name, RUN) as member, suppress(grpc.RpcError):
                while True:
                    member.stream("SendLocalTaskResults", body(member), timeout=600)
            time.sleep(_AGAIN)

    if load == "500 MB calls":
        body = bytes(_LARGE)
        again(lambda _: iter([body]))
    elif load.endswith("idle streams"):
        threads = [threading.Thread(target=again, args=(_silence,), daemon=True) for _ in range(int(load.split()[0]))]
        for thread in threads:
            thread.start()
        threads[0].join()
    else:
        again(_slowly if load == "slow line" else _dying)


def _silence(member: Member) -> Iterator[bytes]:
    time.sleep(3600)
    yield b""


def _upload(member: Member, size: int) -> Iterator[bytes]:
    round = 1
    with suppress(grpc.RpcError):
        round = member.tasks()[0]
    tensors = [metric("loss", 2.0, round), metric("seconds", 0.0, round), section(bytes(20 * 10**6), round)]
    return messages(member.results("train", round, tensors, 100), size)


def _slowly(member: Member) -> Iterator[bytes]:
    for piece in _upload(member, 16 * 2**10):
        yield piece
        time.sleep(0.2)


def _dying(member: Member) -> Iterator[bytes]:
    yield from islice(_upload(member, 2**20), 1)
    time.sleep(3600)


def _without_certificate(load: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    count = int(load.split()[0]) if load.endswith("idle streams") else 1

    def again() -> None:
        while True:
            with suppress(OSError), socket.create_connection((host, int(port))) as line:
                while True:
                    line.sendall(bytes(2**20) if load == "500 MB calls" else bytes(1))
                    time.sleep(0 if load == "500 MB calls" else 0.2 if load == "slow line" else 3600)
            time.sleep(_AGAIN)

    threads = [threading.Thread(target=again, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    threads[0].join()


if __name__ == "__main__":
    main(*sys.argv[1:])
