"""Charts and compose.yaml start the same programs in the same way: arguments, users, mounts, ports, health, memory."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from k8s.rendering import ROOT, Install, Object
from tests.support.trial import AGGREGATOR, SITE, changed

# Paths that both have by means of their own: /tmp is a tmpfs or an emptyDir, and /dev/shm comes with Docker.
OWN_PATHS = {"/tmp", "/dev/shm"}
SETTINGS = "/etc/fedmol/federation.yaml"
PAIRS = {  # service in compose.yaml: chart, container
    "aggregator": ("aggregator", "aggregator"),
    "evaluator": ("aggregator", "evaluator"),
    "aggregator-sidecar": ("aggregator", "sidecar"),
    "north": ("collaborator", "collaborator"),
    "north-doctor": ("collaborator", "doctor"),
    "north-sidecar": ("collaborator", "sidecar"),
}
pytestmark = pytest.mark.parametrize("service", PAIRS)
VALUES = {"aggregator": changed(AGGREGATOR, run="trial"), "collaborator": changed(SITE, run="trial")}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


@pytest.fixture
def composed(services: dict[str, Any], service: str) -> Any:
    return services[service]


@pytest.fixture
def container(install: Install, service: str) -> Object:
    chart, name = PAIRS[service]
    return install(chart, VALUES[chart]).container(name)


def _options(words: list[str]) -> dict[str, str]:
    """Of a command line whose options all have values, but for --stay: here what ends would be started again."""
    words = [word for word in words if word != "--stay"]
    return dict(zip(words[::2], map(_shared_by_runs, words[1::2]), strict=True))


def _shared_by_runs(path: str) -> str:
    """In a cluster, where volumes outlive the installation, every run has a folder of its own in them."""
    return path.removesuffix("/trial")


def _entry(composed: Any) -> list[str]:
    image = composed["image"].partition(":")[0]
    entry: list[str] = composed.get("entrypoint", [image])  # an image's own entry point has the image's name
    return entry


def test_the_same_program_with_the_same_arguments(composed: Any, container: Object) -> None:
    program, *rest = _entry(composed)
    assert container["command"] == [program, *rest]
    wanted, got = _options(composed["command"]), _options(container["args"])
    for names in (wanted, got):
        names.pop("--answer-to", None)  # its own address, which differs
        if container["name"] == "doctor":
            names.pop("--run", None)  # a pod may be started again long after the run
    assert got == wanted


def test_the_same_image(composed: Any, container: Object) -> None:
    assert container["image"] == composed["image"]


def test_the_same_user_and_nothing_more(composed: Any, container: Object) -> None:
    rights = container["securityContext"]
    assert f"{rights['runAsUser']}:{rights['runAsGroup']}" == composed["user"]
    assert rights["readOnlyRootFilesystem"] == composed["read_only"]
    assert rights["capabilities"]["drop"] == composed["cap_drop"]
    assert (not rights["allowPrivilegeEscalation"]) == ("no-new-privileges:true" in composed["security_opt"])


def _composed_mounts(composed: Any) -> dict[str, bool]:
    mounts = {}
    for volume in composed["volumes"]:
        volume = re.sub(r"\$\{[^}]*\}", "value", volume)
        _, path, *mode = volume.split(":")
        mounts["/etc/fedmol" if path == SETTINGS else path] = mode == ["ro"]
    return mounts


def test_the_same_paths_of_which_the_same_can_be_written_to(composed: Any, container: Object) -> None:
    mounts = {one["mountPath"]: one.get("readOnly", False) for one in container["volumeMounts"]}
    assert {path: mode for path, mode in mounts.items() if path not in OWN_PATHS} == _composed_mounts(composed)


def test_the_same_limit_of_memory(composed: Any, container: Object) -> None:
    limit = container["resources"]["limits"]["memory"]
    assert limit.lower().removesuffix("i") == composed["mem_limit"]


def test_the_same_health(composed: Any, container: Object) -> None:
    if container["name"] == "sidecar":
        asked = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", " ".join(composed["healthcheck"]["test"]))
        assert asked is not None
        (port,) = container["ports"]
        assert (port["containerPort"], container["livenessProbe"]["httpGet"]["path"]) == (int(asked[1]), asked[2])
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    elif "healthcheck" in composed:
        assert composed["healthcheck"] == {"disable": True}
        assert not {"livenessProbe", "startupProbe", "readinessProbe"} & container.keys()
    else:  # that of the image
        dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
        (command,) = re.findall(r"HEALTHCHECK .* CMD (\[.*\])", dockerfile)
        for probe in ("livenessProbe", "startupProbe"):
            assert list(map(_shared_by_runs, container[probe]["exec"]["command"])) == yaml.safe_load(command)


def test_as_much_time_to_stop(composed: Any, service: str, install: Install) -> None:
    grace = int(composed.get("stop_grace_period", "10s").removesuffix("s"))
    chart, _ = PAIRS[service]
    assert install(chart, VALUES[chart]).pod["spec"]["terminationGracePeriodSeconds"] >= grace
