"""A federation of an aggregator process and members on the wire alone, whose every model can be said beforehand."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy as np

from benchmarks.federation.cases import counts, introduction
from benchmarks.federation.member import Member
from fedmol.fl.federation import Settings
from fedmol.fl.identity import stream_seed
from fedmol.fl.payload import Vector
from fedmol.telemetry.events.round_events import RoundFinished, RoundStarted
from fedmol.telemetry.events.run_events import RunFinished
from fedmol.telemetry.log import Event
from fedmol.training.assembly import reach
from tests.support.stage import AGGREGATOR, RUN, Stage, small_settings

T = TypeVar("T")

MOVE = 0.3  # of the way that the optimiser can go in a round, as honest updates move
_FOR_EVER = 3600.0  # seconds; a member that says nothing is not lost before


def light_settings(*sites: str, length: int = 400, **rounds: Any) -> Settings:
    """The small federation with `sites`, for `length` rounds in which nobody is lost or late by the clock."""
    patient = dict.fromkeys(("lost_after", "join_deadline", "deadline", "grace"), _FOR_EVER) | {"farewell": 5.0}
    return small_settings(
        sites=[{"name": site} for site in sites], training={"rounds": length}, rounds={**patient, **rounds}
    )


class Light:
    """`model` is what the open round, `round`, starts from; it is computed here and compared after each round."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.stage = Stage(settings, folder)
        self.settings = self.stage.settings
        self.sites = sorted(self.settings.site_names)
        hello, self.model = introduction(self.settings)
        self.hello = hello.model_copy(update={"run": RUN})
        self.molecules = {site: 100 + place for place, site in enumerate(self.sites)}
        self.round = 1
        self.members: dict[str, Member] = {}

    @property
    def address(self) -> str:
        return f"{self.settings.network.address}:{self.settings.network.port}"

    @property
    def work(self) -> Path:
        return self.stage.folder / AGGREGATOR

    def certificates(self, site: str) -> Path:
        return self.stage.folder / "certs" / f"site-{site}"

    def open(self, *absent: str) -> None:
        """Start the aggregator; everybody joins."""
        self.stage.start(AGGREGATOR)
        self.connect(*absent)
        joining = [site for site in self.sites if site not in absent]
        with ThreadPoolExecutor(len(joining)) as pool:
            list(pool.map(self.join, joining))

    def connect(self, *absent: str) -> None:
        """Open a line for every member, once the aggregator serves."""
        for member in self.members.values():
            member.channel.close()
        self.stage.wait_until_it_serves()
        present = [site for site in self.sites if site not in absent]
        self.members = {site: Member(self.address, self.certificates(site), site, RUN) for site in present}

    def join(self, site: str) -> None:
        member = self.members[site]
        hello = self.hello.model_copy(update={"peer": member.peer})
        member.join(hello, counts(self.settings, self.molecules[site]))

    def update(self, site: str, move: float = MOVE) -> Vector:
        """What `site` makes of the open round's model: the same whenever it is asked for."""
        longest = reach(self.settings.training, self.settings.training.local_steps, len(self.model), self.round).norm
        numbers = np.random.default_rng(stream_seed(site, self.round))
        direction = numbers.standard_normal(len(self.model), np.float32)
        length = np.float32(move * longest / np.linalg.norm(direction))
        return np.asarray(self.model + length * direction, np.float32)

    def validate(self, site: str) -> None:
        in_time(lambda: self.members[site].validate(self.round, molecules=self.molecules[site]))

    def train(self, site: str, update: Vector | None = None) -> None:
        values = (self.update(site) if update is None else update).tobytes()
        in_time(lambda: self.members[site].train(self.round, values, self.molecules[site]))

    def report(self, *sites: str) -> None:
        """The sites do what is asked of them in the open round."""
        for site in sites or self.members:
            self.validate(site)
            self.train(site)

    def play(self, *sites: str) -> Event[RoundFinished]:
        """A round in which the sites, or all, do what is asked of them."""
        counted = sites or tuple(self.sites)
        self.report(*counted)
        return self.close(counted)

    def close(self, counted: Collection[str], updates: Mapping[str, Vector] | None = None) -> Event[RoundFinished]:
        """Wait for the end of the open round: its model has to be the mean of the updates of those who count."""
        updates = updates or {site: self.update(site) for site in sorted(counted)}
        finished = self.stage.wait_for(RoundFinished, lambda event: event.round == self.round)
        weights = self.shares(counted)
        assert finished.body.weights == weights
        self.model = mean(self.model, updates, weights)
        assert self.stage.checkpoint(self.round).tobytes() == self.model.tobytes()
        self.round += 1
        if self.round <= self.settings.training.rounds:
            self.stage.wait_for(RoundStarted, lambda event: event.round == self.round)
        return finished

    def shares(self, counted: Collection[str]) -> dict[str, float]:
        """The weights that were agreed."""
        total = sum(self.molecules[site] for site in counted)
        return {site: self.molecules[site] / total for site in sorted(counted)}

    def kill(self) -> None:
        """kill -9 of the aggregator."""
        self.stage.signal(AGGREGATOR, signal.SIGKILL)
        assert self.stage.wait(AGGREGATOR) == -signal.SIGKILL

    def restart(self) -> None:
        """kill -9 of the aggregator, and its start with the same arguments."""
        self.kill()
        self.stage.start(AGGREGATOR)
        self.connect()

    def finish(self) -> Event[RunFinished]:
        """Everybody hears that the run is over and holds its model, and the aggregator ends well."""
        for member in self.members.values():
            assert member.tasks()[2]
            member.say_finished()
        assert self.stage.wait(AGGREGATOR) == 0
        (finished,) = self.stage.events(RunFinished)
        return finished

    def serving(self) -> bool:
        """Whether the process that was started first is still there."""
        return self.stage.parties[AGGREGATOR].code is None

    def peak_memory(self) -> int:
        """Bytes of the aggregator's memory at the most, so far."""
        process = self.stage.parties[AGGREGATOR].process
        assert process is not None
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def shut(self) -> None:
        for member in self.members.values():
            member.channel.close()
        self.stage.close()


def in_time(call: Callable[[], T]) -> T:
    """Make the call, and again if it comes too soon after others."""
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if "calls a second" not in str(error.details()):
                raise
            time.sleep(0.2)


def mean(model: Vector, updates: Mapping[str, Vector], weights: Mapping[str, float]) -> Vector:
    """FedAvg: the sum in float64 in the order of the sites' names, the step from `model` in float32."""
    total = np.zeros(len(model))
    for site in sorted(weights):
        total += np.float64(weights[site]) * updates[site]
    return np.asarray(model + (total.astype(np.float32) - model), np.float32)


Build = Callable[[Settings], Light]
