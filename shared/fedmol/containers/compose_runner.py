"""A federation played in containers on this machine: brought up, shown, its results fetched, taken down."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmol import files
from fedmol.containers.compose_file import Composition, compose, images, scrape_targets
from fedmol.containers.compose_project import ComposeProject, State
from fedmol.containers.sidecar_events import EventStream
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings, dump
from fedmol.local.display import Display

_LOOK_EVERY = 0.5  # seconds
_NAMES = ("north", "south", "east", "west")
_ENDED_BY_SIGNAL = 128  # exit codes from here on


@dataclass(frozen=True)
class Deployment:
    """Where the files of a run in containers lie, and how its Compose project is called."""

    folder: Path

    @property
    def project(self) -> str:
        return f"fedmol-{self.folder.name}".lower()

    @property
    def compose_file(self) -> Path:
        return self.folder / "compose.yaml"

    def take_down(self) -> None:
        """Containers, networks and volumes; the folder stays."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans")

    def compose(self, *words: str) -> None:
        """One call of Docker Compose, which shows what it does.

        Raises:
            FedmolError: NO_ENGINE when it fails.
        """
        command = ["docker", "compose", "-p", self.project, "-f", str(self.compose_file), "--project-directory", "."]
        try:
            subprocess.run([*command, *words], check=True)
        except FileNotFoundError:
            raise FedmolError(
                Exit.NO_ENGINE, "there is no `docker` here", "install Docker and its Compose plugin"
            ) from None
        except subprocess.CalledProcessError as error:
            cure = f"see above, and: docker compose -p {self.project} logs"
            raise FedmolError(
                Exit.NO_ENGINE, f"docker compose {words[0]} ended with exit code {error.returncode}", cure
            ) from None


def named_sites(settings: Settings, count: int) -> list[dict[str, Any]]:
    """`count` sites: those of the settings first, then new ones."""
    names = settings.site_names[:count]
    more = [name for name in (*_NAMES, *(f"site-{k}" for k in range(1, count + 1))) if name not in names]
    return [{"name": name} for name in [*names, *more[: count - len(names)]]]


def bring_data(settings: Settings) -> Settings:
    """The settings with the file of molecules, where data.source is one, named as `prepare` will find it.

    Raises:
        FedmolError: BAD_DATA when there is no such file.
    """
    source = Path(settings.data.source).expanduser()
    if settings.data.source in ("embedded", "qm9"):
        return settings
    if not source.is_file():
        raise FedmolError(Exit.BAD_DATA, f"there is no file {source}", "name a file of molecules, embedded, or qm9")
    os.environ["FEDMOL_DATA"] = str(source.resolve().parent)  # the compose file mounts it
    data = settings.data.model_copy(update={"source": f"/data/{source.name}"})
    return settings.model_copy(update={"data": data})


def deployment_in(folder: Path) -> Deployment | None:
    """That of an earlier call, if the folder holds one."""
    stage = Deployment(folder.resolve())
    return stage if stage.compose_file.exists() else None


def write_deployment(settings: Settings, folder: Path) -> Deployment:
    """The run's folder with all that Compose needs beside the project's own files."""
    stage = Deployment(folder.resolve())
    how = Composition(
        project=stage.project,
        origin="federation.yaml beside it",
        settings=str(stage.folder / "federation.yaml"),
        targets=str(stage.folder / "targets"),
        build=False,
        published=False,
    )
    files.write_text(stage.folder / "federation.yaml", dump(settings))
    files.write_text(stage.compose_file, compose(settings, how))
    for name, text in scrape_targets(settings.site_names).items():
        files.write_text(stage.folder / "targets" / name, text)
    return stage


def bring_up(stage: Deployment, consortium: ComposeProject, *, monitoring: bool) -> None:
    consortium.has_images(*images())
    stage.compose(*(["--profile", "monitoring"] if monitoring else []), "up", "--detach", "--no-build")


def follow(consortium: ComposeProject, display: Display) -> None:
    """Show the run until its report is written.

    Raises:
        FedmolError: the exit code of the aggregator or the evaluator when it has ended for good without a result.
    """
    stream, before = EventStream(consortium.page), consortium.states()
    while True:
        display.show(stream.new())
        states = consortium.states()
        for service, state in sorted(states.items()):
            if (note := change(service, before.get(service), state)) is not None:
                display.note(note)
        before = states
        for service in ("aggregator", "evaluator"):
            if states[service].ended and states[service].code != 0:
                raise _failure(consortium, service, states[service])
        if states["evaluator"].ended:
            display.show(stream.new())
            return
        time.sleep(_LOOK_EVERY)


def change(service: str, before: State | None, now: State) -> str | None:
    """What has happened to a container, in words; None where nothing has."""
    if before is None or (before.status, before.started) == (now.status, now.started):
        return None
    if now.ended:
        by = " by a signal" if now.code and now.code >= _ENDED_BY_SIGNAL else ""
        return f"container {service} has ended{by}, exit code {now.code}"
    return f"container {service} is {now.status}" + (" again" if before.ended else "")


def _failure(consortium: ComposeProject, service: str, state: State) -> FedmolError:
    exit = Exit(state.code) if state.code in set(Exit) else Exit.PROCESS_LOST
    return FedmolError(
        exit,
        f"container {service} ended with exit code {state.code}: {consortium.last_words(service)}",
        f"docker compose -p {consortium.project} logs {service}; take everything down with: fedmol down",
    )
