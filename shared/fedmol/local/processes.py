"""The parties of a simulated federation as processes: started, watched, brought back when killed, stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fedmol import names
from fedmol.fl.federation import Settings
from fedmol.run_folder import RunFolder

AGGREGATOR = names.AGGREGATOR
_RESTARTS = 3  # per party; a process that keeps being killed is left dead
_PATIENCE = 15.0  # seconds between asking a process to stop and killing it


@dataclass
class Party:
    """One process, its command and its log."""

    name: str
    command: list[str]
    log: Path
    threads: int
    process: subprocess.Popen[bytes] | None = None
    restarts: int = field(default=0)

    def start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "PYTHONUNBUFFERED": "1"}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches only the supervisor, which stops the parties in order.
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while the party runs."""
        return self.process.poll() if self.process else None

    def revive(self) -> bool:
        """Start the party again if a signal killed it, as a container's restart policy would."""
        if self.code is None or self.code >= 0 or self.restarts >= _RESTARTS:
            return False
        self.restarts += 1
        self.start()
        return True

    def last_words(self) -> str:
        """The error message at the end of the party's log, or its last line."""
        text = self.log.read_text(errors="replace").rstrip() if self.log.exists() else ""
        start = f"\n{text}".rfind("\nerror: ")
        return text[start:] if start >= 0 else text.rsplit("\n", 1)[-1]


def stop(parties: list[Party]) -> None:
    """Ask every running party to stop, and kill those that do not."""
    running = [party.process for party in parties if party.process and party.process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    until = time.monotonic() + _PATIENCE
    for process in running:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stop_leftovers(folder: RunFolder) -> list[int]:
    """Stop parties of the run in `folder` that outlived a killed supervisor; their process ids."""
    settings = str(_settings_path(folder))
    left = [process for process in psutil.process_iter(["cmdline"]) if settings in (process.info["cmdline"] or ())]
    for process in left:
        process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=_PATIENCE)
    for process in stubborn:
        process.kill()
    return [process.pid for process in left]


def _settings_path(folder: RunFolder) -> Path:
    return RunFolder(folder.path.resolve()).settings  # absolute: by it a party is known among all processes


def parties(settings: Settings, run: str, folder: RunFolder) -> list[Party]:
    """The aggregator first, then every site, each with its own certificates, shard and working folder."""
    common = {"settings": _settings_path(folder), "run": run}
    threads = settings.training.threads
    aggregator = Party(
        AGGREGATOR,
        _command("fedmol_aggregator", **common, certs=folder.certificates(AGGREGATOR), work=folder.aggregator.path),
        folder.logs / "aggregator.log",
        threads,
    )
    sites = [
        Party(
            site,
            _command(
                "fedmol_collaborator",
                **common,
                site=site,
                certs=folder.certificates(site),
                work=folder.site(site).path,
                shard=folder.site(site).shard,
            ),
            folder.logs / f"site-{site}.log",
            threads,
        )
        for site in settings.site_names
    ]
    return [aggregator, *sites]


def _command(program: str, **options: object) -> list[str]:
    return [
        sys.executable,
        "-m",
        program,
        *(word for name, value in options.items() for word in (f"--{name}", str(value))),
    ]
