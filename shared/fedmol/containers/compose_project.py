"""The containers of one federation, found by what Compose has written on them, and what a person may do to them."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.models.networks import Network

from fedmol.errors import Exit, FedmolError

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_STOP = 30  # seconds, as in the compose file
_ATTEMPTS, _PAUSE = 5, 1.0  # at freezing a container; seconds between two
_PERIOD = 100_000  # microseconds, in which a slowed-down container gets its share of one core


@dataclass(frozen=True)
class State:
    """What the engine says of a container."""

    status: str  # created, running, paused, restarting, exited, dead
    code: int | None  # the exit code, once it has one
    started: str  # when, as the engine writes it: another one after every start

    @property
    def ended(self) -> bool:
        return self.status in ("exited", "dead")


class ComposeProject:
    """One Compose project: its services by name."""

    def __init__(self, project: str, client: docker.DockerClient) -> None:
        self.project, self.client = project, client

    @classmethod
    def reach(cls, project: str) -> ComposeProject:
        """Raises FedmolError NO_ENGINE when no Docker Engine answers."""
        try:
            client = docker.from_env()  # asks the engine which version of its interface it speaks
        except (DockerException, requests.RequestException) as error:
            cure = "start Docker, and see that `docker info` works for this user"
            raise FedmolError(Exit.NO_ENGINE, f"no Docker Engine answers: {error}", cure) from None
        return cls(project, client)

    def _containers(self) -> dict[str, Container]:
        found = self.client.containers.list(
            all=True, filters={"label": f"{_PROJECT}={self.project}"}, ignore_removed=True
        )
        return {container.labels[_SERVICE]: container for container in found}

    def container(self, service: str) -> Container:
        """Raises FedmolError USAGE when the project has no such service."""
        found = self._containers()
        if service not in found:
            known = ", ".join(sorted(found)) or "none: it is not up"
            raise FedmolError(
                Exit.USAGE, f"{self.project} has no container {service!r}", f"name one of its containers ({known})"
            )
        return found[service]

    def states(self) -> dict[str, State]:
        return {service: _state(container) for service, container in self._containers().items()}

    def pages(self) -> dict[str, str]:
        """Where the pages of the services that have one are on this machine, while they are up."""
        published = {
            service: [port for ports in container.ports.values() for port in ports or ()]
            for service, container in sorted(self._containers().items())
        }
        return {service: f"http://127.0.0.1:{ports[0]['HostPort']}" for service, ports in published.items() if ports}

    def page(self, service: str = "aggregator-sidecar") -> str | None:
        return self.pages().get(service)

    def fetch(self, service: str, path: str, target: Path) -> None:
        """Copy a file, or the files in a folder, out of a container, running or not, into `target`, under this user."""
        pieces, _ = self.container(service).get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            for member in archive.getmembers():
                folder, *inside = Path(member.name).parts  # a folder's archive begins with the folder itself
                member.name = str(Path(*inside)) if inside else folder
                if member.isfile():
                    archive.extract(member, target, filter="data")

    def last_words(self, service: str) -> str:
        """The error message at the end of a container's log, or its last line."""
        text = self.container(service).logs(tail=20).decode(errors="replace").rstrip()
        start = text.rfind("error: ")
        return text[start:] if start >= 0 else text.rsplit("\n", 1)[-1]

    def has_images(self, *names: str) -> None:
        """Raises FedmolError NO_ENGINE when one has not been built."""
        for name in names:
            try:
                self.client.images.get(name)
            except NotFound:
                raise FedmolError(Exit.NO_ENGINE, f"there is no image {name} here", "build it: make images") from None

    def disturb(self, service: str, how: str, share: float = 0.1) -> None:
        """Do to a container what can happen to it; `share` is what is left of one core when it is slowed down.

        Raises:
            FedmolError: USAGE when there is no such container or it is not in a state for that.
        """
        container = self.container(service)
        try:
            _DISTURBANCES[how](self, container, share)
        except APIError as error:
            reason = error.explanation or str(error)
            raise FedmolError(
                Exit.USAGE, f"cannot {how} {service}: {reason}", f"look at its state: it is {container.status}"
            ) from None

    def _line(self, container: Container) -> Network:
        name = f"{self.project}_{container.labels[_SERVICE]}-line"
        try:
            return self.client.networks.get(name)
        except NotFound:
            raise FedmolError(
                Exit.USAGE, f"{container.name} has no line of its own", "only a site can be cut off: name one"
            ) from None


def _state(container: Container) -> State:
    said = container.attrs["State"]
    return State(
        container.status, said["ExitCode"] if container.status in ("exited", "dead") else None, said["StartedAt"]
    )


def _pause(_: ComposeProject, container: Container, __: float) -> None:
    """On a busy machine the engine may not get all processes of a container to stand still at the first attempt."""
    for attempt in range(_ATTEMPTS):
        try:
            return container.pause()
        except APIError:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE)


def _cut(consortium: ComposeProject, container: Container, _: float) -> None:
    consortium._line(container).disconnect(container)


def _mend(consortium: ComposeProject, container: Container, _: float) -> None:
    consortium._line(container).connect(container, aliases=[container.labels[_SERVICE]])


_DISTURBANCES: dict[str, Callable[[ComposeProject, Container, float], object]] = {
    "stop": lambda _, container, __: container.stop(timeout=_STOP),
    "start": lambda _, container, __: container.start(),
    "kill": lambda _, container, __: container.kill(),
    "pause": _pause,
    "resume": lambda _, container, __: container.unpause(),
    "cut": _cut,
    "mend": _mend,
    "slow": lambda _, container, share: container.update(cpu_period=_PERIOD, cpu_quota=int(share * _PERIOD)),
    "hurry": lambda _, container, __: container.update(cpu_period=_PERIOD, cpu_quota=-1),
}
DISTURBANCES = tuple(_DISTURBANCES)
