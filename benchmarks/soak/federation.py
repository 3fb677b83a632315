"""A federation of real processes that are started again whenever they end, as by a restart policy."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from random import Random

from benchmarks.soak.lines import Lines
from fedmol import files
from fedmol.errors import Exit
from fedmol.fl.federation import Settings, dump
from fedmol.local.preparation import prepare
from fedmol.local.processes import AGGREGATOR, Party, parties
from fedmol.telemetry.log import Follower
from fedmol.telemetry.reducer import apply
from fedmol.telemetry.state import Run
from fedmol.training.assembly import MODEL_FILE

RUN = "soak"
# What a program says that can go on when it is started again, and the signals that it is ended by here.
AGAIN = {
    Exit.AGGREGATOR_UNREACHABLE,
    Exit.QUORUM_LOST,
    Exit.ADDRESS_IN_USE,
    Exit.PROCESS_LOST,
    Exit.STORAGE,
    Exit.TERMINATED,
    -signal.SIGKILL,
    -signal.SIGTERM,
}
_PAUSE = (0.1, 1.0)  # seconds before a party is started again


class Federation:
    """Prepared in `folder`, a new one. Every site reaches the aggregator through a line of its own."""

    def __init__(self, settings: Settings, folder: Path, chance: Random) -> None:
        self.settings, self.folder, self.chance = prepare(settings, folder), folder, chance
        self.parties = {party.name: party for party in parties(self.settings, RUN, folder)}
        self.lines = Lines(self.settings.site_names, self.settings.network.port)
        for site, port in self.lines.ports.items():
            self._lay_line(site, port)
        self.codes: defaultdict[str, list[int]] = defaultdict(list)  # with which each party has ended
        self.step = 0  # 0 while sites join, then the open round; after the last round it is the farewell
        self._restarts: dict[str, float] = {}  # when, on the monotonic clock
        self._rooms: dict[str, int] = {}  # bytes that a file may have where the disk is full
        self._news = Follower(self.work(AGGREGATOR) / "events.jsonl")
        self._known = Run()

    @property
    def sites(self) -> list[str]:
        return self.settings.site_names

    @property
    def rounds(self) -> int:
        return self.settings.training.rounds

    def work(self, name: str) -> Path:
        return self.folder / name if name == AGGREGATOR else self.folder / "sites" / name

    def model(self, name: str) -> Path:
        return self.work(name) / MODEL_FILE

    def start(self) -> None:
        for name in self.parties:
            self._start(name)

    def running(self) -> list[str]:
        return [name for name, party in self.parties.items() if party.process and party.code is None]

    def ended(self) -> bool:
        """Whether every program has ended with 0."""
        return all(codes[-1:] == [0] for codes in (self.codes[name] for name in self.parties))

    def failed(self) -> list[str]:
        """The parties that have ended in a way after which nothing starts them again."""
        return [name for name, codes in self.codes.items() if codes and codes[-1] != 0 and codes[-1] not in AGAIN]

    def look(self) -> None:
        """Take note of who has ended and of how far the run is; start again who is due."""
        for event in self._news.new():
            apply(self._known, event)
        if self._known.outcome is not None:
            self.step = self.rounds + 1
        elif self._known.agreed:
            self.step = max(self.step, self._known.round)
        for name, party in self.parties.items():
            if party.process is not None and party.code is not None:
                self._note_end(name, party)
        now = time.monotonic()
        for name in [name for name, due in self._restarts.items() if due <= now]:
            del self._restarts[name]
            self._start(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """To the party and whatever it has started; a party that has just ended hears nothing."""
        process = self.parties[name].process
        if process is not None and process.poll() is None:
            os.killpg(process.pid, number)

    def fill_disk(self, name: str) -> None:
        """From now on files of the party's cannot grow, but for a few bytes, as on a full disk."""
        log = self.work(name) / "events.jsonl"
        self._rooms[name] = (log.stat().st_size if log.exists() else 0) + self.chance.randint(0, 2000)
        self._limit(name)

    def free_disk(self, name: str) -> None:
        self._rooms.pop(name, None)
        self._limit(name)

    def close(self) -> None:
        for name in self.running():
            self.signal(name, signal.SIGKILL)
            process = self.parties[name].process
            assert process is not None
            process.wait()
        self.lines.close()

    def _start(self, name: str) -> None:
        self.parties[name].start()
        if name in self._rooms:
            self._limit(name)

    def _note_end(self, name: str, party: Party) -> None:
        code = party.code
        assert code is not None
        self.codes[name].append(code)
        party.process = None
        if code in AGAIN:
            self._restarts[name] = time.monotonic() + self.chance.uniform(*_PAUSE)

    def _limit(self, name: str) -> None:
        party = self.parties[name]
        if party.process is None or party.code is not None:
            return
        room = self._rooms.get(name, resource.RLIM_INFINITY)
        _, most = resource.prlimit(party.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(party.process.pid, resource.RLIMIT_FSIZE, (room, most))

    def _lay_line(self, site: str, port: int) -> None:
        path = self.work(site) / "settings.yaml"
        network = self.settings.network.model_copy(update={"port": port})
        files.write_text(path, dump(self.settings.model_copy(update={"network": network})))
        party = self.parties[site]
        command = list(party.command)
        command[command.index("--settings") + 1] = str(path)
        self.parties[site] = replace(party, command=command)
