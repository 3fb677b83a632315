"""The two that are compared, each in a process of its own, and the members that play rounds with them."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
import numpy as np

from benchmarks.federation.cases import RUN, counts
from benchmarks.federation.floor import FloorMember
from benchmarks.federation.member import PIECE, Member, channel
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol.fl.messages import Joining
from fedmol.local.preparation import free_port
from fedmol.run_folder import RunFolder
from fedmol.telemetry.events.round_events import RoundStarted
from fedmol.telemetry.events.run_events import RunFinished
from fedmol.telemetry.queries import first, logged

_OWN_VALUES = 1024  # one page of memory
_PATIENCE = 300.0  # seconds
_PAUSE = 0.1  # seconds
_SCHEDULED = 2  # CPUCLOCK_SCHED of the Linux kernel


class Update:
    """What one site sends: the file that all share, but for its first page, which is a copy of the site's own."""

    def __init__(self, path: Path, place: int) -> None:
        with path.open("rb") as file:
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        own = np.frombuffer(self._mapped, np.float32, min(_OWN_VALUES, len(self._mapped) // 4))
        own *= np.float32(1 + (place + 1) * 2**-14)

    @property
    def values(self) -> memoryview:
        return memoryview(self._mapped)

    def pieces(self) -> Iterator[bytes]:
        for start in range(0, len(self._mapped), PIECE):
            yield bytes(self.values[start : start + PIECE])


@dataclass(frozen=True)
class Party:
    """One site: its certificate folder, the number of its molecules, and its update."""

    site: str
    certificates: Path
    molecules: int
    update: Update


@dataclass(frozen=True)
class Turn:
    """What one round took: on the clock, and of the serving process's processor time."""

    seconds: float
    cpu_seconds: float


class Server(ABC):
    """A process that serves a federation of `parties`, as a context: when the block is left, the process has ended."""

    def __init__(self, parties: list[Party], command: list[str], log: Path, **how: Any) -> None:
        self.parties, self.log, self.peak_bytes = parties, log, 0
        self._pool = ThreadPoolExecutor(len(parties))
        with log.open("wb") as errors:
            self.process = subprocess.Popen(command, stderr=errors, **how)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._pool.shutdown(cancel_futures=True)

    @abstractmethod
    def open(self) -> None:
        """Wait until it serves, and let everybody in."""

    @abstractmethod
    def play(self, round: int) -> Turn:
        """One round of everybody; it begins when all are idle, and ends when the next one is open."""

    def cpu_seconds(self) -> float:
        """Processor time of all threads so far, those that have ended included."""
        return time.clock_gettime(~self.process.pid << 3 | _SCHEDULED)

    def look_at_memory(self) -> None:
        """Note the process's peak as long as there is one."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
        self.peak_bytes = max([self.peak_bytes, *found])

    def failure(self, what: str) -> FedmolError:
        return FedmolError(Exit.INTERNAL, f"{what}:\n{self.log.read_text()[-2000:]}", "look at what it says above")


class Floor(Server):
    def __init__(self, parties: list[Party], certificates: Path, initial: Path) -> None:
        address, total = f"localhost:{free_port()}", sum(party.molecules for party in parties)
        weights = json.dumps({party.site: party.molecules / total for party in parties})
        command = [sys.executable, "-m", "benchmarks.federation.floor", address, str(certificates), weights]
        super().__init__(parties, [*command, str(initial)], initial.with_name("floor.log"), stdout=subprocess.PIPE)
        self.digest = ""
        self._channels = [channel(address, party.certificates, party.certificates / "ca.crt") for party in parties]
        self._members = [FloorMember(line) for line in self._channels]

    def open(self) -> None:
        self._told()

    def __exit__(self, *_: object) -> None:
        for line in self._channels:
            line.close()
        super().__exit__()

    def play(self, round: int) -> Turn:
        began, before = time.monotonic(), self.cpu_seconds()
        sending = [self._pool.submit(self._take_part, *pair) for pair in zip(self._members, self.parties, strict=True)]
        self._told()
        turn = Turn(time.monotonic() - began, self.cpu_seconds() - before)
        self.digest = self._told()
        for sent in sending:
            sent.result(_PATIENCE)
        self.look_at_memory()
        return turn

    def _take_part(self, member: FloorMember, party: Party) -> None:
        member.take()
        member.send(party.update.pieces())

    def _told(self) -> str:
        assert self.process.stdout is not None
        line: bytes = self.process.stdout.readline()
        if not line:
            raise self.failure("the floor has ended")
        return line.decode().strip()


class Aggregator(Server):
    def __init__(
        self, settings: Settings, parties: list[Party], certificates: Path, settings_file: Path, joining: Joining
    ) -> None:
        self.work = settings_file.with_name("aggregator")
        options = {"settings": settings_file, "run": RUN, "certs": certificates, "work": self.work}
        command = [sys.executable, "-m", "fedmol_aggregator", *(f"--{name}={value}" for name, value in options.items())]
        super().__init__(parties, command, settings_file.with_name("aggregator.log"))
        address = f"{settings.network.address}:{settings.network.port}"
        self._members = [Member(address, party.certificates, party.site, RUN) for party in parties]
        self._hellos = [joining.model_copy(update={"peer": member.peer}) for member in self._members]
        self._shards = [counts(settings, party.molecules) for party in parties]

    def open(self) -> None:
        self._wait_until(self._serves)
        for member in self._members:
            grpc.channel_ready_future(member.channel).result(_PATIENCE)
        list(self._pool.map(Member.join, self._members, self._hellos, self._shards))
        for member in self._members:
            member.tasks()

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.channel.close()
        super().__exit__()

    def play(self, round: int) -> Turn:
        began, before = time.monotonic(), self.cpu_seconds()
        list(self._pool.map(self._take_part, self._members, self.parties, [round] * len(self.parties)))
        turn = Turn(time.monotonic() - began, self.cpu_seconds() - before)
        self.look_at_memory()
        return turn

    def finish(self) -> None:
        """Wait until the process has ended by itself, after its last round."""
        self._wait_until(lambda: self.process.poll() is not None)
        if self.process.returncode != 0:
            raise self.failure(f"the aggregator ended with exit code {self.process.returncode}")

    def digest(self) -> str:
        """That of the final model."""
        (finished,) = logged(RunFolder(self.work).log, RunFinished)
        return str(finished.body.model_digest)

    def _take_part(self, member: Member, party: Party, round: int) -> None:
        """What fedmol's own site does in a round, but for the work; then wait for the next round's tasks."""
        member.opening()
        member.discard_model(round)
        member.validate(round, molecules=party.molecules)
        member.train(round, party.update.values, party.molecules)
        until = time.monotonic() + _PATIENCE
        while True:
            open_round, tasks, over = member.tasks()
            if over:
                member.say_finished()
            if over or open_round > round:
                return
            if time.monotonic() > until:
                raise self.failure(f"round {round} was not closed, {party.site} has {tasks} to do")
            time.sleep(_PAUSE)

    def _serves(self) -> bool:
        if self.process.poll() is not None:
            raise self.failure(f"the aggregator ended with exit code {self.process.returncode}")
        log = RunFolder(self.work).log
        return log.exists() and first(log, RoundStarted) is not None

    def _wait_until(self, what: Callable[[], bool]) -> None:
        until = time.monotonic() + _PATIENCE
        while not what():
            if time.monotonic() > until:
                raise self.failure("the aggregator takes too long")
            if self.process.poll() is None:
                self.look_at_memory()
            time.sleep(_PAUSE / 10)
