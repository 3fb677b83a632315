"""The project as a stranger has it, a copy in a folder of its own, with its containers brought up and taken down."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import requests
import yaml

from fedmol.containers.compose_project import ComposeProject
from fedmol.containers.images import locked

ROOT = Path(__file__).parents[2]
PATIENCE = 900.0  # seconds after which a test gives up; nothing here takes a quarter of it on two idle cores

SMALL: dict[str, Any] = {
    "name": "small",
    "sites": [{"name": "north"}, {"name": "south"}],
    "data": {"source": "embedded", "limit": 400},
    "model": {"preset": "small", "layers": 1},
    "training": {"rounds": 10, "local_steps": 60, "batch_size": 64, "validation_molecules": 32},
    "rounds": {"join_deadline": 600, "lost_after": 60},
    "network": {"address": "aggregator", "port": 50051},
    "evaluation": {"samples": 64, "nll_molecules": 32},
}

ANYWHERE = {f"PORT_{party}": "0" for party in ("AGGREGATOR", "NORTH", "SOUTH", "PROMETHEUS")}  # where nobody listens


def fresh_copy(target: Path, rounds: int = 10) -> Path:
    """What git knows of the working tree, and nothing built or run in it; `DATA=small` takes so many rounds."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0"):
        if name and (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    small = {**SMALL, "training": {**SMALL["training"], "rounds": rounds}}
    (target / "federation.small.yaml").write_text(yaml.safe_dump(small))
    return target


def run(*command: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """The command's output; what it said when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@cache
def prometheus_image() -> str:
    """The locked one; where the engine cannot get that, being without a registry, another version that it has."""
    if told := os.environ.get("PROMETHEUS_IMAGE"):
        return told
    pinned = locked("prometheus")
    pull = ["docker", "pull", "--quiet", pinned]
    if subprocess.run(pull, capture_output=True, timeout=PATIENCE).returncode == 0:
        return pinned
    name = pinned.partition(":")[0]
    others = run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", name).split()
    assert others, f"neither {pinned} nor another {name} can be had here"
    return others[0]


def wait_until(what: Callable[[], bool], why: str, patience: float = PATIENCE) -> float:
    """Seconds until `what` held."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < patience, f"not within {patience:.0f} s: {why}"
        time.sleep(0.2)
    return time.monotonic() - began


def models(consortium: ComposeProject, parties: Iterable[str], folder: Path) -> set[bytes]:
    """What is in the parties' files of the final model, running or not."""
    for party in parties:
        consortium.fetch(party, "/state/model.safetensors", folder / party)
    return {(folder / party / "model.safetensors").read_bytes() for party in parties}


class Stack:
    """`docker compose` in a folder, under a project name of its own."""

    def __init__(self, folder: Path, project: str) -> None:
        self.folder, self.project = folder, project
        self.consortium = ComposeProject.reach(project)

    def compose(self, *words: str) -> str:
        command = ["docker", "compose", "-p", self.project, *words]
        environment = {"DATA": "small", "PROMETHEUS_IMAGE": prometheus_image(), **ANYWHERE}
        return run(*command, cwd=self.folder, environment=environment)

    def inside(self, service: str, *command: str) -> tuple[int, str]:
        """Exit code and output of a command in a running container, as its own user."""
        done = self.consortium.container(service).exec_run(list(command))
        assert isinstance(done.output, bytes)
        return done.exit_code or 0, done.output.decode(errors="replace")

    def python(self, service: str, code: str) -> tuple[int, str]:
        return self.inside(service, "python", "-c", code)

    def get(self, path: str, service: str = "aggregator-sidecar") -> requests.Response:
        page = self.consortium.page(service)
        assert page is not None, f"{service} is not published"
        return requests.get(f"{page}{path}", timeout=20)

    def left(self) -> list[str]:
        """What the engine still has of this project."""
        client, mark = self.consortium.client, f"com.docker.compose.project={self.project}"
        containers = client.containers.list(all=True, filters={"label": mark})
        networks, volumes = client.networks.list(filters={"label": mark}), client.volumes.list(filters={"label": mark})
        return [str(one.name) for found in (containers, networks, volumes) for one in found]

    def down(self) -> None:
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def close(self) -> None:
        """Containers go first: Compose finds no order in what an interrupted `down` left, and removes nothing."""
        self.compose("--profile", "*", "kill", "--remove-orphans")
        self.compose("--profile", "*", "rm", "--force")
        self.down()
