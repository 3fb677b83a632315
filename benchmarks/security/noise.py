"""What the event log takes of whoever repeats the same: bytes an hour, and how much of a core the aggregator needs.

The attacker is a process of its own: `python -m benchmarks.security.noise LOAD ADDRESS CERTIFICATES`. It says how many
attempts it has made, a line a second.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import grpc
import psutil

from benchmarks.federation.cases import RUN
from benchmarks.federation.member import Member
from benchmarks.security.measure import Federation
from benchmarks.sidecar import running
from fedmol.fl.messages import REPORT, SERVICE
from fedmol.run_folder import RunFolder

NOISE = {
    "handshakes": "connections without TLS, or without a certificate, up to 1,000 a second",
    "reports": "a member's reports of progress with a new phase each, up to 1,500 a second",
    "texts": "the same with numbers of 400 digits and phases of 60,000 characters",
}
_PACES = {"handshakes": 1000, "reports": 1500, "texts": 1500}  # a second
_THREADS = 4
_HOUR, _SETTLE = 3600.0, 2.0  # seconds


@dataclass(frozen=True)
class Noise:
    load: str
    attempts: float  # a second
    log: float  # bytes an hour
    stderr: float  # bytes an hour
    cores: float  # that the aggregator used
    sidecar: int  # bytes of memory, over the log as it was in the end


def noises(federation: Federation, folder: Path, seconds: float, loads: list[str]) -> Iterator[Noise]:
    """Each load for so many seconds, on an aggregator whose sites have joined."""
    log, stderr = RunFolder(federation.work).log, folder / f"{federation.work.name}.log"
    process = psutil.Process(federation.process.pid)
    for load in loads:
        command = [sys.executable, "-m", "benchmarks.security.noise", load, federation.address, str(folder / "certs")]
        sizes = [path.stat().st_size for path in (log, stderr)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as attacker:
            assert attacker.stdout is not None
            first = last = int(attacker.stdout.readline())
            cpu, began = sum(process.cpu_times()[:2]), time.monotonic()
            while time.monotonic() - began < seconds:
                last = int(attacker.stdout.readline())
            lasted = time.monotonic() - began
            cores = (sum(process.cpu_times()[:2]) - cpu) / lasted
            attacker.kill()
        time.sleep(_SETTLE)
        written = [path.stat().st_size - size for path, size in zip((log, stderr), sizes, strict=True)]
        grown = [_HOUR * size / (lasted + _SETTLE) for size in written]
        with running(federation.work) as sidecar:
            for path in ("/", "/metrics"):
                sidecar.ask(path)
            yield Noise(load, (last - first) / lasted, grown[0], grown[1], cores, sidecar.resident)


def main(load: str, address: str, certificates: str) -> None:
    done, lock = count(), threading.Lock()
    if load == "handshakes":
        attempt = _handshake(address)
    else:
        attempt = _report(Member(address, Path(certificates) / "member", "member", RUN), long=load == "texts")
    pace = _PACES[load] / _THREADS

    def again() -> None:
        began, made = time.monotonic(), 0
        while True:
            with suppress(OSError, grpc.RpcError):
                attempt()
            with lock:
                next(done)
            made += 1
            time.sleep(max(0.0, began + made / pace - time.monotonic()))

    for _ in range(_THREADS):
        threading.Thread(target=again, daemon=True).start()
    while True:
        time.sleep(1.0)
        with lock:
            print(next(done), flush=True)


def _handshake(address: str) -> Callable[[], object]:
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    number = count()

    def attempt() -> None:
        with socket.create_connection((host, int(port))) as line:
            if next(number) % 4:
                line.sendall(b"GET / HTTP/1.1\r\n\r\n")
                line.recv(1)
            else:
                with context.wrap_socket(line) as secure:
                    secure.read(1)

    return attempt


def _report(member: Member, long: bool) -> Callable[[], object]:
    number = count()

    def attempt() -> None:
        phase = ("training", "sending")[next(number) % 2]
        said = {"phase": "x" * 60_000, "step": 10**400} if long else {"phase": phase}
        document = {"protocol": "2.0", "run": RUN, "peer": member.peer, "round": 1, **said}
        member.call(REPORT, json.dumps(document).encode(), SERVICE)

    return attempt


if __name__ == "__main__":
    main(*sys.argv[1:])
