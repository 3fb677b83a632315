"""Values of a small federation, as the coordinator and its sites would write them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from k8s.stub_cluster import Cluster, plural

Values = dict[str, Any]

FEDERATION: Values = {
    "name": "trial",
    "sites": [{"name": "north"}, {"name": "south"}],
    "training": {"rounds": 2, "local_steps": 4, "learning_rate": 0.002},
    "rounds": {"quorum": 2},
    "network": {"address": "fl.example.org", "port": 50051},
}
AGGREGATOR: Values = {
    "run": "trial-1",
    "federation": FEDERATION,
    "certificates": {"secret": "aggregator-certs"},
    "evaluation": {"secret": "molecules", "test": "test.csv", "known": "known.csv"},
    "networkPolicy": {"sites": {"cidrs": ["203.0.113.0/24"], "namespaces": ["north"]}},
}
SITE: Values = {
    "run": "trial-1",
    "site": "north",
    "federation": FEDERATION,
    "certificates": {"secret": "north-certs"},
    "shard": {"claim": "molecules"},
    "networkPolicy": {"aggregator": {"cidrs": ["198.51.100.7/32"]}},
}
MINIMAL = {"aggregator": AGGREGATOR, "collaborator": SITE}


def changed(values: Values, **changes: Any) -> Values:
    """A copy with entries, named by path with __ between its parts, set to something else."""
    copy = deepcopy(values)
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = copy
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return copy


def cluster_with(*objects: tuple[str, str, list[str]], namespace: str = "trial") -> Cluster:
    """One in which the release's namespace has some objects, each a kind, a name and its keys."""
    cluster = Cluster()
    for kind, name, keys in [("ServiceAccount", "default", []), *objects]:
        metadata = {"name": name, "namespace": namespace}
        document = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": dict.fromkeys(keys, "")}
        cluster.put(f"/api/v1/namespaces/{namespace}/{plural(kind)}", document)
    return cluster


# Every way in which the charts can be installed that makes other objects, by what is peculiar to it.
VARIANTS: dict[str, tuple[str, Values]] = {
    "aggregator": ("aggregator", AGGREGATOR),
    "aggregator-alone": ("aggregator", changed(AGGREGATOR, evaluation={"enabled": False})),
    "node-port": ("aggregator", changed(AGGREGATOR, service={"type": "NodePort", "nodePort": 30051})),
    "load-balancer": (
        "aggregator",
        changed(
            AGGREGATOR,
            service={
                "type": "LoadBalancer",
                "externalTrafficPolicy": "Local",
                "loadBalancerSourceRanges": ["203.0.113.0/24"],
                "annotations": {"cloud": "yes"},
            },
        ),
    ),
    "ingress": ("aggregator", changed(AGGREGATOR, ingress={"enabled": True, "className": "nginx"})),
    "gateway": ("aggregator", changed(AGGREGATOR, gateway={"enabled": True, "name": "edge", "namespace": "edges"})),
    "aggregator-cert-manager": (
        "aggregator",
        changed(AGGREGATOR, certificates={"certManager": {"enabled": True, "issuer": {"name": "trial"}}}),
    ),
    "evaluation-claim": ("aggregator", changed(AGGREGATOR, evaluation={"claim": "molecules", "test": "test.csv"})),
    "site": ("collaborator", SITE),
    "site-from-secret": ("collaborator", changed(SITE, shard={"secret": "molecules", "file": "shard.smi"})),
    "site-request": ("collaborator", changed(SITE, certificates={"request": True})),
    "site-cert-manager": (
        "collaborator",
        changed(SITE, certificates={"certManager": {"enabled": True, "issuer": {"name": "trial"}}}),
    ),
    "site-gpu": (
        "collaborator",
        changed(
            SITE,
            gpu={"count": 2, "resource": "nvidia.com/mig-1g.10gb", "runtimeClassName": "nvidia"},
            nodeSelector={"accelerator": "h100"},
            tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            tests={"gpu": True},
        ),
    ),
    "site-pinned": (
        "collaborator",
        changed(
            SITE,
            federation__network={"address": "198.51.100.7", "port": 443},
            networkPolicy={},
            image={"repository": "registry.example.org/fedmol-collaborator", "digest": f"sha256:{'0' * 64}"},
            imagePullSecrets=["registry"],
            hostAliases=[{"ip": "198.51.100.7", "hostnames": ["fl.example.org"]}],
            fullnameOverride="other",
            priorityClassName="batch",
            podLabels={"team": "chemistry"},
            podAnnotations={"note": "none"},
            serviceAccount={"create": False},
            doctor={"enabled": False},
            state={"size": "1Gi", "storageClass": "fast"},
        ),
    ),
    "site-settings-elsewhere": (
        "collaborator",
        changed(
            SITE,
            federation={},
            federationConfigMap="federation",
            networkPolicy={"aggregator": {"namespaces": ["coordinator"], "port": 50051}},
        ),
    ),
}
