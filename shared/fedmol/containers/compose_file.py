"""What a federation's settings stand for in containers: the compose file, and whom Prometheus watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from fedmol.containers.images import locked
from fedmol.containers.templates import environment
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings

SERVICES = ("prepare", "aggregator", "evaluator", "prometheus", "grafana")
SUFFIXES = ("", "-doctor", "-sidecar")
TARGETS = Path("docker") / "prometheus" / "targets"


@dataclass(frozen=True)
class Composition:
    """How a compose file is to differ from the project's own `compose.yaml`."""

    project: str = "fedmol"
    run: str = "trial"
    origin: str = "federation.yaml"  # what the reader is told to change
    settings: str = "./federation${DATA:+.}${DATA:-}.yaml"  # what is mounted
    targets: str = f"./{TARGETS}"
    build: bool = True
    published: bool = True  # at ports that the environment can change; otherwise Docker chooses free ones


def images() -> tuple[str, str]:
    """The two images, by the version of this package."""
    return f"fedmol-aggregator:{version('fedmol')}", f"fedmol-collaborator:{version('fedmol')}"


def compose(settings: Settings, how: Composition = Composition()) -> str:
    """The compose file of a federation on one machine.

    Raises:
        FedmolError: BAD_SETTINGS when a site's name is also that of another service.
    """
    _check_names(settings.site_names)
    template = environment().get_template("compose.yaml.j2")
    return template.render(
        sites=settings.site_names, version=version("fedmol"), port=_ports(how), image=locked, **vars(how)
    )


def compose_gpu(settings: Settings) -> str:
    """What is laid over the compose file where the sites have GPUs."""
    template = environment().get_template("compose.gpu.yaml.j2")
    return template.render(sites=settings.site_names, version=version("fedmol"))


def scrape_targets(sites: Sequence[str]) -> dict[str, str]:
    """Prometheus's target files by name: the sidecar beside the aggregator, and those beside the sites."""
    return {"aggregator.yaml": _targets(["aggregator"]), "sites.yaml": _targets(sites)}


def _targets(parties: Sequence[str]) -> str:
    lines = (f"- targets: [{party}-sidecar:8080]\n  labels: {{party: {party}}}\n" for party in parties)
    return "".join(["# Rendered from federation.yaml by `fedmol render`.\n", *lines])


def _ports(how: Composition) -> Callable[[str, int], str]:
    def port(party: str, usual: int) -> str:
        return f"${{PORT_{party.upper().replace('-', '_')}:-{usual}}}" if how.published else ""

    return port


def _check_names(sites: Sequence[str]) -> None:
    taken = {*SERVICES, "aggregator-sidecar"}
    names = [f"{site}{suffix}" for site in sites for suffix in SUFFIXES]
    twice = sorted(name for name in set(names) if name in taken or names.count(name) > 1)
    if twice:
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"in containers these names would stand for two services: {', '.join(twice)}",
            "give the sites other names: not those of fedmol's own services, and none that is another's plus -doctor "
            "or -sidecar",
        )
