"""The charts as Helm installs them into some cluster, by Helm's own library. A stub stands for the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from k8s.stub_cluster import Cluster, serve

ROOT = Path(__file__).parents[1]
NAMESPACE = "trial"
Object = dict[str, Any]


class Refused(Exception):
    """Helm would not install it, and says why."""


@dataclass(frozen=True)
class Release:
    """What an installation put into the cluster, what its tests would, and what it told."""

    objects: tuple[Object, ...]
    hooks: tuple[Object, ...]
    notes: str

    def of_kind(self, kind: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] == kind]

    def named(self, kind: str, name: str) -> Object:
        (found,) = (one for one in self.of_kind(kind) if one["metadata"]["name"] == name)
        return found

    @property
    def pod(self) -> Object:
        """Of the one that takes part."""
        (workload,) = self.of_kind("StatefulSet")
        template: Object = workload["spec"]["template"]
        return template

    @property
    def pods(self) -> list[Object]:
        return [self.pod, *(one for one in self.hooks if one["kind"] == "Pod")]

    def container(self, name: str) -> Object:
        (found,) = (one for one in containers(self.pod) if one["name"] == name)
        return found


Install = Callable[..., Release]  # (chart, values[, cluster])


def containers(pod: Object) -> Iterator[Object]:
    yield from pod["spec"].get("initContainers", [])
    yield from pod["spec"]["containers"]


def install(chart: str, values: Mapping[str, Any], cluster: Cluster, name: str = "fl") -> Release:
    """Install a chart as release `name`.

    Raises:
        Refused: with Helm's message.
    """
    import helm_sdkpy as helm

    before = set(cluster.objects)
    with serve(cluster) as kubeconfig:
        action = helm.Install(helm.Configuration(namespace=NAMESPACE, kubeconfig=kubeconfig))
        try:
            made = asyncio.run(action.run(name, str(ROOT / "k8s" / chart), values=dict(values), wait=False))
        except helm.HelmError as error:
            raise Refused(str(error)) from None
    objects = _in_order([one for path, one in cluster.objects.items() if path not in before])
    hooks = tuple(yaml.safe_load(hook["manifest"]) for hook in made.get("hooks") or [])
    return Release(objects, hooks, made["info"]["notes"])


def _in_order(created: list[Object]) -> tuple[Object, ...]:
    """By kind as Helm created them, then by name: Helm creates those of one kind side by side."""
    kinds = list(dict.fromkeys(one["kind"] for one in created))
    return tuple(sorted(created, key=lambda one: (kinds.index(one["kind"]), one["metadata"]["name"])))


def lint(chart: str) -> list[str]:
    """What `helm lint` finds fault with."""
    import helm_sdkpy as helm

    found = asyncio.run(helm.Lint(helm.Configuration()).run(str(ROOT / "k8s" / chart)))
    return [*(found["Errors"] or []), *(str(one) for one in found["Messages"] or [])]
