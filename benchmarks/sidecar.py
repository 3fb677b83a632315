"""The sidecar under load: `python -m benchmarks.sidecar`.

A real sidecar follows a log while it grows, and its memory is looked at on the way. Then everything is asked of it in
turn, again and again, while the run goes on at several times the pace of a real one and others listen to its events.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import click
import psutil
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.busy_log import Federation
from benchmarks.machine import describe
from fedmol import files
from fedmol.run_folder import RunFolder
from fedmol.runtime import call

_PATHS = ("/", "/healthz", "/readyz", "/metrics", "/v1/status", "/v1/sites", "/v1/rounds?limit=1000", "/v1/rounds/{}",
          "/v1/molecules", "/report", "/openapi.json")  # fmt: skip
_STREAM = "/v1/events"
_PAGE = 0.25  # seconds between two passes: the page is made anew at most once a second
_SAMPLED_EVERY = 10.0  # seconds between two previews
_REPORT = 200_000  # bytes
_STAGES = 5


@dataclass(frozen=True)
class Latency:
    """Milliseconds from question to whole answer; of the stream, from an event's time to its arrival."""

    asked: int
    p50: float
    p99: float
    longest: float
    size: int  # bytes of the last answer

    @staticmethod
    def of(seconds: Sequence[float], size: int) -> Latency:
        ordered = sorted(1000 * elapsed for elapsed in seconds)
        p50, p99 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99))
        return Latency(len(ordered), p50, p99, ordered[-1], size)


@dataclass(frozen=True)
class Memory:
    """Of the sidecar, once it has read a log of that length and has been asked for everything."""

    rounds: int
    events: int
    log: int  # bytes
    resident: int  # bytes


class Sidecar:
    """A real one, over the log in `folder`."""

    def __init__(self, process: Popen[str], port: int) -> None:
        self._process, self._port = psutil.Process(process.pid), port
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path: str) -> tuple[float, bytes]:
        """Seconds until the answer was here, and the answer."""
        begun = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - begun
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}: {body[:200]!r}")
        return seconds, body

    def wait_for(self, log: Path, rounds: int) -> dict[str, Any]:
        """The status once the whole log has been read, and so many rounds are known to be finished."""
        self._connection.close()  # it may have been idle for too long; the next question opens another
        while True:
            status: dict[str, Any] = json.loads(self.ask("/v1/status")[1])
            if status["log"]["bytes_read"] == log.stat().st_size and status["rounds_finished"] >= rounds:
                return status
            time.sleep(0.1)

    def listen(self, delays: list[float]) -> None:
        """Take events as they come, and how long each was on its way, until the sidecar ends."""
        with closing(HTTPConnection("127.0.0.1", self._port)) as connection:
            connection.request("GET", _STREAM)
            for line in connection.getresponse():
                if line.startswith(b"data: "):
                    written = datetime.fromisoformat(json.loads(line.removeprefix(b"data: "))["time"])
                    delays.append((datetime.now(UTC) - written).total_seconds())

    def close(self) -> None:
        self._connection.close()

    @property
    def resident(self) -> int:
        return int(self._process.memory_info().rss)


@contextmanager
def running(folder: Path) -> Iterator[Sidecar]:
    """A sidecar that is stopped in the end."""
    command = [sys.executable, "-m", "fedmol.sidecar", "--log", str(folder), "--port", "0"]
    with Popen(command, stderr=PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = int(process.stderr.readline().rsplit(":", 1)[1].strip("/\n"))
            with closing(Sidecar(process, port)) as sidecar:
                yield sidecar
        finally:
            process.terminate()


def growth(sidecar: Sidecar, federation: Federation) -> Iterator[Memory]:
    """Let the log grow to the federation's rounds but one, in stages."""
    federation.gather()
    last = 0
    for stage in range(1, _STAGES + 1):
        until = (federation.rounds - 1) * stage // _STAGES
        for number in range(last + 1, until + 1):
            federation.play(number)
        last = until
        federation.sample(last)
        log = sidecar.wait_for(federation.log.path, last)["log"]
        for path in _PATHS:
            sidecar.ask(path.format(last))
        yield Memory(last, log["events"], log["bytes"], sidecar.resident)


def load(sidecar: Sidecar, federation: Federation, seconds: float, pace: float, listeners: int) -> dict[str, Latency]:
    """Ask for everything in turn while the run goes on."""
    taken: dict[str, list[float]] = {path: [] for path in _PATHS}
    sizes = dict.fromkeys(_PATHS, 0)
    delays: list[float] = []
    for _ in range(listeners):  # they end with the sidecar
        threading.Thread(target=sidecar.listen, args=(delays,)).start()
    with _going_on(federation, pace):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for path in _PATHS:
                duration, body = sidecar.ask(path.format(federation.rounds - 1))
                taken[path].append(duration)
                sizes[path] = len(body)
            time.sleep(_PAGE)
    found = {path: Latency.of(taken[path], sizes[path]) for path in _PATHS}
    return found | ({_STREAM: Latency.of(delays, 0)} if delays else {})


@contextmanager
def _going_on(federation: Federation, pace: float) -> Iterator[None]:
    """`pace` events are written every second, and molecules now and then."""
    over = threading.Event()

    def write() -> None:
        sampled = time.monotonic()
        for event, head in federation.endless(federation.rounds):
            if over.wait(1 / pace):
                return
            federation.log.write(event, **head)
            if time.monotonic() - sampled > _SAMPLED_EVERY:
                sampled = time.monotonic()
                federation.sample(int(sampled))

    writer = threading.Thread(target=write)
    writer.start()
    yield
    over.set()
    writer.join()


def tables(memory: list[Memory], latencies: dict[str, Latency]) -> Iterator[Table]:
    """The same to read."""
    grown = Table("rounds", "events", "log, MB", "memory, MB")
    for row in memory:
        grown.add_row(f"{row.rounds}", f"{row.events:,}", f"{row.log / 1e6:.1f}", f"{row.resident / 1e6:.1f}")
    yield grown
    asked = Table("path", "asked", "p50, ms", "p99, ms", "longest, ms", "kB")
    for path, found in latencies.items():
        figures = (f"{value:.1f}" for value in (found.p50, found.p99, found.longest, found.size / 1000))
        asked.add_row(path, f"{found.asked:,}", *figures)
    yield asked


@click.command("sidecar", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--sites", default=50, show_default=True, type=click.IntRange(min=1))
@click.option("--rounds", default=500, show_default=True, type=click.IntRange(min=_STAGES + 1))
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="of asking")
@click.option("--pace", default=100.0, show_default=True, type=click.FloatRange(min=1), help="events per second then")
@click.option("--listeners", default=2, show_default=True, type=click.IntRange(min=0), help="of the event stream")
@click.option("--out", default=Path("bench"), show_default=True, type=click.Path(path_type=Path), help="folder")
def sidecar(sites: int, rounds: int, seconds: float, pace: float, listeners: int, out: Path) -> None:
    """How long the sidecar's answers take, and its memory, beside a large federation's growing log."""
    console = Console()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        RunFolder(folder).report.write_text("<p>".ljust(_REPORT))
        federation = Federation(folder, sites, rounds)
        served = stack.enter_context(running(folder))
        console.print(f"{sites} sites, {rounds} rounds: writing the log")
        memory = list(growth(served, federation))
        console.print(f"asking for {seconds:.0f} s")
        latencies = load(served, federation, seconds, pace, listeners)
        memory.append(_now(served, federation))
    for table in tables(memory, latencies):
        console.print(table)
    document = {
        "machine": asdict(describe(torch.device("cpu"))),
        "asked_for": {"sites": sites, "rounds": rounds, "seconds": seconds, "pace": pace, "listeners": listeners},
        "memory": [asdict(row) for row in memory],
        "latency_ms": {path: asdict(latency) for path, latency in latencies.items()},
    }
    files.write_text(out / "sidecar.json", json.dumps(document, indent=1) + "\n")
    console.print(f"written: {out / 'sidecar.json'}")


def _now(served: Sidecar, federation: Federation) -> Memory:
    status = served.wait_for(federation.log.path, federation.rounds - 1)
    return Memory(status["round"], status["log"]["events"], status["log"]["bytes"], served.resident)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(call(sidecar, sys.argv[1:], "sidecar"))
