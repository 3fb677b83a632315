"""A small federation of real processes over real mTLS, for tests that disturb it."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors.numpy import load_file

from fedmol.fl.federation import Settings, parse
from fedmol.local.preparation import free_port, prepare
from fedmol.local.processes import AGGREGATOR, Party, parties, stop
from fedmol.run_folder import RunFolder
from fedmol.telemetry.log import Event, Follower
from fedmol.telemetry.queries import Kind, logged, of_kind
from tests.support.forking import ForkedParty

T = TypeVar("T")
Builder = Callable[[Settings], T]

RUN = "stage"
DISTURBED = Path(__file__).with_name("disturbed")  # programs with something done to them
PATIENCE = 120.0  # seconds after which a test gives up; nothing here takes a quarter of it on two idle cores


def small_settings(**changes: Any) -> Settings:
    """Two sites, three rounds of four steps, on a few hundred molecules."""
    document: dict[str, Any] = {
        "name": "stage",
        "sites": [{"name": "model"}, {"name": "west"}],  # names that OpenFL itself would stumble over
        "data": {"source": "embedded", "limit": 240},
        "model": {"preset": "small", "layers": 1},
        "training": {"rounds": 3, "local_steps": 4, "batch_size": 16, "validation_molecules": 8},
        "rounds": {"lost_after": 30, "join_deadline": 60, "deadline": 90, "farewell": 40},
        "network": {"give_up_after": 60, "call_deadline": 20},
    }
    for key, value in changes.items():
        document[key] = {**document.get(key, {}), **value} if isinstance(value, dict) else value
    return parse(document, "small settings")


class Stage:
    """A prepared run and its parties by name."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = prepare(settings, folder)
        self.folder = folder
        self.parties: dict[str, Party] = {
            one.name: ForkedParty(one.name, one.command, one.log, one.threads)
            for one in parties(self.settings, RUN, RunFolder(folder))
        }

    @property
    def sites(self) -> list[str]:
        return self.settings.site_names

    def start(self, *names: str) -> None:
        for name in names or self.parties:
            self.parties[name].start()

    def crash(self, name: str, target: str, when: str, nth: int = 1, number: str = "SIGKILL") -> None:
        """Start a party so that it gets a signal at the nth call of `target`; started again, it does not."""
        self._start_through("crash_at.py", name, str(self.folder / f"crashed-{name}"), target, when, str(nth), number)

    def hang(self, name: str, target: str, nth: int, how: str, seconds: float) -> None:
        """Start a site that hangs at the nth call of `target`, once, and may not move for `seconds`."""
        marker = str(self.folder / f"hung-{name}")
        self._start_through("hang_at.py", name, marker, target, str(nth), how, str(seconds))

    def poison(self, name: str, round: int) -> None:
        """Start a site whose update of `round` is full of NaN."""
        self._start_through("poison.py", name, str(round))

    def age(self, name: str, seconds: float) -> None:
        """Have an aggregator, once it is started, end each connection after so many seconds."""
        self._lead_through("aged.py", name, str(seconds))

    def _start_through(self, script: str, name: str, *arguments: str) -> None:
        self._lead_through(script, name, *arguments)
        self.start(name)

    def _lead_through(self, script: str, name: str, *arguments: str) -> None:
        party = self.parties[name]
        program = party.command[2:]  # without `python -m`
        command = [sys.executable, str(DISTURBED / script), *arguments, *program]
        self.parties[name] = replace(party, command=command)

    def signal(self, name: str, number: signal.Signals) -> None:
        process = self.parties[name].process
        assert process is not None
        process.send_signal(number)

    def wait(self, name: str) -> int:
        """The party's exit code."""
        process = self.parties[name].process
        assert process is not None
        try:
            return process.wait(PATIENCE)
        except Exception:
            raise AssertionError(f"{name} did not end; its log:\n{self.log(name)}") from None

    def wait_for(
        self, kind: type[Kind], what: Callable[[Event[Kind]], bool] = lambda _: True, name: str = AGGREGATOR
    ) -> Event[Kind]:
        """The first event of a kind in a party's log for which `what` holds."""
        follower, until = Follower(self.events_path(name)), time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for event in of_kind(follower.new(), kind):
                if what(event):
                    return event
            time.sleep(0.02)
        raise AssertionError(f"{name} never logged it; its log:\n{self.log(name)}")

    def wait_until_it_serves(self) -> None:
        """Wait until the aggregator listens, which it does a little after it has logged that a round is open."""
        where, until = (self.settings.network.address, self.settings.network.port), time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(where).close()
                return
            except ConnectionError:
                assert self.parties[AGGREGATOR].code is None, self.log(AGGREGATOR)
                assert time.monotonic() < until, self.log(AGGREGATOR)
                time.sleep(0.05)

    def close(self) -> None:
        stop(list(self.parties.values()))

    def events_path(self, name: str = AGGREGATOR) -> Path:
        return RunFolder(self.folder).party(name).log

    def events(self, kind: type[Kind], name: str = AGGREGATOR) -> list[Event[Kind]]:
        return list(logged(self.events_path(name), kind))

    def log(self, name: str) -> str:
        return self.parties[name].log.read_text()[-4000:]

    def final_model(self) -> dict[str, Any]:
        return load_file(RunFolder(self.folder).aggregator.model)

    def checkpoint(self, round: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        model: np.ndarray[Any, np.dtype[np.float32]] = load_file(
            self.folder / AGGREGATOR / "rounds" / f"round-{round:04d}.safetensors"
        )["model"]
        return model

    def intruder(self, name: str, **replaced: str) -> Party:
        """A second process for site `name` with some of its arguments replaced (`certs`, `run`, `settings`...)."""
        command = list(self.parties[name].command)
        for option, value in replaced.items():
            command[command.index(f"--{option}") + 1] = value
        work = self.folder / "intruders" / str(time.monotonic_ns())
        command[command.index("--work") + 1] = str(work)
        return replace(self.parties[name], command=command, log=work / "log", process=None)


def copy_certificates(stage: Stage, name: str, target: Path) -> Path:
    shutil.copytree(stage.folder / "certs" / name, target)
    return target


@contextmanager
def builder(make: Callable[[Settings, Path], T], end: Callable[[T], None], folder: Path) -> Iterator[Builder[T]]:
    """Makes federations, each in a folder of its own in `folder`; all are ended with the block."""
    built: list[T] = []

    def build(settings: Settings) -> T:
        built.append(make(settings, folder / f"run{len(built)}"))
        return built[-1]

    try:
        yield build
    finally:
        for each in built:
            end(each)


__all__ = ["AGGREGATOR", "RUN", "Stage", "builder", "copy_certificates", "free_port", "small_settings"]
