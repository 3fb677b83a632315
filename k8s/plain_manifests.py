"""Plain manifests for `kubectl apply -k`: what Helm makes of the charts with the default federation's values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from k8s.rendering import ROOT, Object, Release, install
from k8s.stub_cluster import Cluster

FOLDER = Path("k8s") / "manifests"
# By whom, and in which version of the API, a budget is given differs from cluster to cluster.
_EVERYWHERE: dict[str, Any] = {"podDisruptionBudget": {"enabled": False}}

Installing = Callable[[str, dict[str, Any], Cluster, str], Release]


def parties() -> list[str]:
    return sorted(path.stem for path in (ROOT / "k8s" / "values").glob("*.yaml"))


def manifests(installing: Installing = install) -> dict[Path, str]:
    """Every file's text, by its path from the repository's root."""
    files: dict[Path, str] = {}
    for party in parties():
        objects = [_plain(one) for one in installing(*_wanted(party), Cluster(), party).objects]
        files[FOLDER / party / "manifests.yaml"] = yaml.safe_dump_all(objects, width=120)
        files[FOLDER / party / "kustomization.yaml"] = _kustomization(party)
    return files


def _wanted(party: str) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = yaml.safe_load((ROOT / "k8s" / "values" / f"{party}.yaml").read_text())
    return ("aggregator", values | _EVERYWHERE) if party == "aggregator" else ("collaborator", values)


def _plain(one: Object) -> Object:
    """The object as Kustomize takes it: in whichever namespace, and not Helm's."""
    metadata = {key: value for key, value in one["metadata"].items() if key in ("name", "labels", "annotations")}
    metadata["labels"] = metadata.get("labels", {}) | {"app.kubernetes.io/managed-by": "kustomize"}
    metadata["annotations"] = {
        key: value for key, value in metadata.get("annotations", {}).items() if not key.startswith("meta.helm.sh/")
    }
    if not metadata["annotations"]:
        del metadata["annotations"]
    return {**one, "metadata": metadata}


def _kustomization(party: str) -> str:
    return (
        f"# kubectl apply -n fedmol -k {FOLDER / party}    rendered from the chart by `make generate`\n"
        f"# It needs the Secret {party}-certs{'' if party == 'aggregator' else f', and the claim {party}-shard'}.\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n"
        "resources: [manifests.yaml]\n"
    )
