"""Honest uploads while somebody attacks: first an aggregator that nobody uses, as the control, then theirs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import numpy as np

from benchmarks.federation.cases import RUN, Model, counts, introduction
from benchmarks.federation.member import Member
from fedmol.fl.federation import Settings, dump, parse
from fedmol.fl.identity import peer_name
from fedmol.local.preparation import free_port
from fedmol.pki import certificates
from fedmol.run_folder import RunFolder
from fedmol.telemetry.events.round_events import RoundStarted
from fedmol.telemetry.queries import first

HONEST = 8
_MOLECULES = 100  # of each site
_SETTLE = 2.0  # seconds between the begin of an attack and the first honest upload
_PATIENCE = 120.0  # seconds


@dataclass(frozen=True)
class Felt:
    """What eight honest uploads took, in seconds, and the most memory that the aggregator had meanwhile."""

    seconds: list[float]
    peak_bytes: int


@dataclass(frozen=True)
class Trial:
    load: str
    identity: str
    control: Felt
    attacked: Felt

    @property
    def ratios(self) -> list[float]:
        """Each upload's time over the control's median."""
        usual = statistics.median(self.control.seconds)
        return [seconds / usual for seconds in self.attacked.seconds]


def trials(folder: Path, model: Model, loads: list[str], identities: list[str]) -> Iterator[Trial]:
    """Every load by every identity. `folder` is a new one."""
    _certify(folder)
    with Federation(folder, "target", model) as target, Federation(folder, "idle", model) as idle:
        target.join()
        target.round()  # the first is not like the others
        for load in loads:
            for identity in identities:
                with attack(load, identity, idle.address, folder / "certs"):
                    control = target.round()
                with attack(load, identity, target.address, folder / "certs"):
                    attacked = target.round()
                yield Trial(load, identity, control, attacked)


@contextmanager
def attack(load: str, identity: str, address: str, certs: Path) -> Iterator[None]:
    """The load is there as long as the block lasts."""
    command = [sys.executable, "-m", "benchmarks.security.attack", load, identity, address, str(certs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(_SETTLE)
        try:
            yield
        finally:
            process.kill()


class Federation:
    """An aggregator process, eight honest sites, and the attacker's place, which has joined with the others."""

    def __init__(self, folder: Path, name: str, model: Model) -> None:
        self.folder, self.work, self.settings = folder, folder / name, _settings(model)
        self.address = f"localhost:{self.settings.network.port}"
        file = folder / f"{name}.yaml"
        file.write_text(dump(self.settings))
        options = {"settings": file, "run": RUN, "certs": folder / "certs" / "aggregator", "work": self.work}
        command = [sys.executable, "-m", "fedmol_aggregator", *(f"--{key}={value}" for key, value in options.items())]
        with (folder / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.members = [self._member(site) for site in self.settings.site_names]
        self.joining, self.model = introduction(self.settings)
        self._wait_until_it_serves()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.channel.close()
        self.process.kill()
        self.process.wait()

    def join(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        def join(member: Member) -> None:
            hello = self.joining.model_copy(update={"peer": peer_name(member.site)})
            member.join(hello, counts(self.settings, _MOLECULES))

        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(join, self.members))

    def round(self) -> Felt:
        """The honest sites report one after another; the round closes without the attacker."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # the peak is counted anew
        honest = [member for member in self.members if member.site != "member"]
        round, taken = honest[0].tasks()[0], []
        update = (self.model * np.float32(1 + 2**-20)).tobytes()
        for member in honest:
            member.validate(round)
            began = time.monotonic()
            member.train(round, update, _MOLECULES)
            taken.append(time.monotonic() - began)
        while honest[0].tasks()[0] == round:
            pass
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
        return Felt(taken, peak)

    def _member(self, site: str) -> Member:
        return Member(self.address, self.folder / "certs" / site, site, RUN)

    def _wait_until_it_serves(self) -> None:
        until, log = time.monotonic() + _PATIENCE, RunFolder(self.work).log
        while not (log.exists() and first(log, RoundStarted)):
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the aggregator did not start")
            time.sleep(0.1)
        grpc.channel_ready_future(self.members[0].channel).result(_PATIENCE)


def _settings(model: Model) -> Settings:
    sites = ["member", *(f"honest-{number}" for number in range(1, HONEST + 1))]
    document = {
        "name": RUN,
        "sites": [{"name": site} for site in sites],
        "model": {"preset": model.preset, "layers": model.layers},
        "training": {"rounds": 1000, "local_steps": 10},
        "rounds": {"quorum": HONEST, "grace": 0.05, "lost_after": 3600, "join_deadline": 3600, "deadline": 3600},
        "network": {"address": "localhost", "listen": "127.0.0.1", "port": free_port()},
    }
    return parse(document, "the measurement")


def _certify(folder: Path) -> None:
    certs, day = folder / "certs", timedelta(days=1)
    certificates.make_ca(certs / "authority", RUN, day)
    certificates.issue_aggregator(certs / "authority", certs / "aggregator", ["localhost"], day)
    sites = ["member", "nobody", *(f"honest-{number}" for number in range(1, HONEST + 1))]
    for site in sites:
        certificates.issue_site(certs / "authority", certs / site, site, day)
