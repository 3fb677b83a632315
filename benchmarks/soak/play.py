"""One run, disturbed, and what is wrong with it in the end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.soak.disturbances import LINES, Disturbance, Kind, draw, moment
from benchmarks.soak.federation import Federation
from benchmarks.soak.lines import State
from fedmol.errors import FedmolError
from fedmol.fl.federation import Settings, parse
from fedmol.local.processes import AGGREGATOR
from fedmol.telemetry.events.round_events import RoundFinished
from fedmol.telemetry.events.run_events import ModelDelivered, RunFinished
from fedmol.telemetry.log import read, verify
from fedmol.telemetry.queries import of_kind

PATIENCE = 300.0  # seconds, after which a run hangs
_LOOK = 0.02  # seconds
_MOST_STARTS = 40  # of a party
_STATES = {Kind.DEAD: State.DEAD, Kind.RESET: State.DEAD, Kind.SILENT: State.SILENT, Kind.SLOW: State.SLOW}


@dataclass
class Happened:
    """A disturbance as it happened: the moment is that of the run, not the one that was meant."""

    kind: Kind
    moment: str
    whom: str
    seconds: float


@dataclass
class Played:
    """How a run went."""

    seed: int
    sites: int
    rounds: int
    happened: list[Happened] = field(default_factory=list)
    codes: dict[str, list[int]] = field(default_factory=dict)  # with which each party ended, in order
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


_FEDERATIONS = ((["north", "south"], 3), (["east", "north", "west"], 4))  # sites, rounds


def which_settings(seed: int) -> int:
    """The number of the settings that the run of `seed` has: runs of the same settings end with the same model."""
    return int(seed % 3 == 0)


def small_settings(seed: int) -> Settings:
    """Few sites, few rounds, a small model; every site counts in every round, so that the model is the same."""
    sites, rounds = _FEDERATIONS[which_settings(seed)]
    document: dict[str, Any] = {
        "name": "soak",
        "sites": [{"name": site} for site in sites],
        "data": {"source": "embedded", "limit": 200},
        "model": {"preset": "small", "layers": 1},
        "training": {"rounds": rounds, "local_steps": 12, "batch_size": 16, "validation_molecules": 8},
        "rounds": {"lost_after": 6, "join_deadline": 60, "deadline": 120, "farewell": 600},
        "network": {"give_up_after": 20, "call_deadline": 6},
    }
    return parse(document, "the soak's settings")


def play(seed: int, folder: Path, expected: bytes | None) -> Played:
    """Play the run of `seed` in `folder`, a new one: undisturbed where no model is expected.

    Every program has to end with 0, and every party has to hold the expected model.
    """
    chance, settings = Random(seed), small_settings(seed)
    run = _Run(Federation(settings, folder, chance), chance)
    plan = [] if expected is None else draw(chance, settings.training.rounds)
    played = Played(seed, len(settings.sites), settings.training.rounds)
    began = time.monotonic()
    try:
        played.failures = run.play(plan) or _wrong(run.federation, expected)
    finally:
        run.federation.close()
    played.happened, played.codes = run.happened, dict(run.federation.codes)
    played.seconds = time.monotonic() - began
    return played


class _Run:
    def __init__(self, federation: Federation, chance: Random) -> None:
        self.federation, self.chance = federation, chance
        self.happened: list[Happened] = []
        self._ends: list[tuple[float, Callable[[], None]]] = []  # of disturbances, on the monotonic clock

    def play(self, plan: list[Disturbance]) -> list[str]:
        """What hinders the run from ending; nothing when it has ended."""
        federation, until, began = self.federation, time.monotonic() + PATIENCE, {0: time.monotonic()}
        federation.start()
        while not federation.ended():
            time.sleep(_LOOK)
            federation.look()
            now = time.monotonic()
            for step in range(federation.step + 1):
                began.setdefault(step, now)
            for disturbance in [
                disturbance
                for disturbance in plan
                if disturbance.step in began and now >= began[disturbance.step] + disturbance.after
            ]:
                plan.remove(disturbance)
                self._disturb(disturbance)
            for due in [end for end in self._ends if now >= end[0]]:
                self._ends.remove(due)
                due[1]()
            often = [name for name, codes in federation.codes.items() if len(codes) > _MOST_STARTS]
            if federation.failed() or often or now > until:
                return self._stuck()
        return []

    def _disturb(self, disturbance: Disturbance) -> None:
        federation = self.federation
        running = federation.running()
        if disturbance.kind in LINES:
            running = [name for name in running if name != AGGREGATOR]
        if not running:
            return
        whom = self.chance.choice(running)
        everybody = disturbance.kind is Kind.POWER
        said = "everybody" if everybody else whom
        self.happened.append(
            Happened(disturbance.kind, moment(federation.step, federation.rounds), said, disturbance.seconds)
        )
        if everybody or disturbance.kind is Kind.KILL:
            for name in running if everybody else [whom]:
                federation.signal(name, signal.SIGKILL)
        elif disturbance.kind is Kind.STOP:
            federation.signal(whom, signal.SIGTERM)
        elif disturbance.kind is Kind.PAUSE:
            federation.signal(whom, signal.SIGSTOP)
            self._end(disturbance.seconds, lambda: federation.signal(whom, signal.SIGCONT))
        elif disturbance.kind is Kind.FULL:
            federation.fill_disk(whom)
            self._end(disturbance.seconds, lambda: federation.free_disk(whom))
        else:
            federation.lines.become(whom, _STATES[disturbance.kind])
            self._end(disturbance.seconds, lambda: federation.lines.become(whom, State.UP))

    def _end(self, seconds: float, end: Callable[[], None]) -> None:
        self._ends.append((time.monotonic() + seconds, end))

    def _stuck(self) -> list[str]:
        said = []
        for name, party in self.federation.parties.items():
            codes = self.federation.codes[name]
            if codes[-1:] != [0]:
                said.append(f"{name} has not ended with 0: {codes}, last said: {party.last_words()[:600]}")
        return said


def _wrong(federation: Federation, expected: bytes | None) -> list[str]:
    """What is not as it has to be where every program has ended with 0."""
    wrong = []
    model = federation.model(AGGREGATOR).read_bytes()
    if expected is not None and model != expected:
        wrong.append("the aggregator's model is not that of the undisturbed run")
    for site in federation.sites:
        path = federation.model(site)
        if not path.exists():
            wrong.append(f"{site} has no model")
        elif path.read_bytes() != model:
            wrong.append(f"the model of {site} is not the aggregator's")
    for name in federation.parties:
        wrong += _wrong_log(federation, name)
    return wrong


def _wrong_log(federation: Federation, name: str) -> list[str]:
    path = federation.work(name).log
    try:
        verify(path)
        events = list(read(path))
    except FedmolError as error:
        return [f"the event log of {name}: {error.message}"]
    ends = list(of_kind(events, RunFinished))
    wrong = [] if len(ends) == 1 else [f"{name} has logged the end {len(ends)} times"]
    if name == AGGREGATOR:
        closed = [event.round for event in of_kind(events, RoundFinished)]
        if closed != list(range(1, federation.rounds + 1)):
            wrong.append(f"the aggregator has logged the rounds {closed}")
        delivered = sorted(event.site for event in of_kind(events, ModelDelivered))
        if delivered != sorted(federation.sites):
            wrong.append(f"the aggregator has logged that the model is held by {delivered}")
    return wrong
