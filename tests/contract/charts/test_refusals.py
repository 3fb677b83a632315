"""Values that cannot work are refused when a chart is installed, and the message names them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from k8s.rendering import Install, Refused
from tests.support.trial import AGGREGATOR, MINIMAL, SITE, Values, changed, cluster_with

FILES = ["ca.crt", "party.crt", "party.key"]
FEDERATION_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("no run", {"run": ""}, "run: is not set"),
    ("no federation", {"federation": {}}, "federation: is empty"),
    ("both federations", {"federationConfigMap": "settings"}, "federation: is given, and federationConfigMap, too"),
    ("no sites", {"federation__sites": []}, "federation/sites"),
    (
        "a site twice",
        {"federation__sites": [{"name": "north"}, {"name": "north"}]},
        "federation.sites: names a site twice",
    ),
    (
        "quorum too high",
        {"federation__rounds__quorum": 3},
        "federation.rounds.quorum: is 3, but federation.sites has 2",
    ),
    ("quorum of nobody", {"federation__rounds__quorum": 0}, "federation/rounds/quorum"),
    ("no address", {"federation__network": {"port": 50051}}, "federation.network.address: is not set"),
    ("no port", {"federation__network": {"address": "fl"}}, "federation.network.port: is not set"),
    ("unknown key", {"shards": {}}, "'shards'"),
    ("unknown inner key", {"image__version": "1"}, "'/image': additional properties 'version'"),
    ("unknown setting", {"federation__rounds__quorums": 2}, "'/federation/rounds': additional properties 'quorums'"),
    ("wrong type", {"startupSeconds": "long"}, "'/startupSeconds'"),
    ("moving tag", {"image__tag": "latest"}, "'/image/tag'"),
    ("bad digest", {"image__digest": "sha256:abc"}, "'/image/digest'"),
    ("no certificate", {"certificates": {}}, "certificates.secret: is not set"),
    (
        "no issuer",
        {"certificates": {"certManager": {"enabled": True}}},
        "certificates.certManager.issuer.name: is not set",
    ),
    (
        "two certificates",
        {"certificates__certManager": {"enabled": True}},
        "certificates.secret and certificates.certManager.enabled: give one of them",
    ),
]
AGGREGATOR_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("node port", {"service": {"type": "NodePort"}}, "service.nodePort: is 50051"),
    ("privileged port", {"listenPort": 443}, "'/listenPort'"),
    (
        "gateway by address",
        {"gateway": {"enabled": True, "name": "edge"}, "federation__network": {"address": "10.0.0.1", "port": 443}},
        "federation.network.address: is an IP address",
    ),
    ("no gateway", {"gateway": {"enabled": True}}, "gateway.name: is not set"),
    ("nobody may come", {"networkPolicy": {}}, "networkPolicy.sites: names nobody"),
    ("molecules from nowhere", {"evaluation": {"test": "test.csv"}}, "evaluation.claim: is not set"),
    ("molecules from both", {"evaluation__claim": "a"}, "evaluation.claim and evaluation.secret: give one of them"),
]
SITE_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("no name", {"site": ""}, "site: is not set"),
    ("foreign name", {"site": "west"}, "site: is west, but federation.sites has north, south"),
    ("bad name", {"site": "North"}, "'/site'"),
    ("no shard", {"shard": {}}, "shard.claim: is not set"),
    ("two shards", {"shard__secret": "a"}, "shard.claim and shard.secret: give one of them"),
    ("shard elsewhere", {"shard__file": "../etc/passwd"}, "'/shard/file'"),
    ("aggregator nowhere", {"networkPolicy": {}}, "networkPolicy.aggregator: says not where the aggregator is"),
    ("no GPU", {"federation__training__device": "cuda"}, "gpu.count: is 0, but federation.training.device is cuda"),
    ("two certificates", {"certificates__request": True}, "certificates.secret and certificates.request: give one"),
    (
        "port unknown",
        {"federation": {}, "federationConfigMap": "settings"},
        "networkPolicy.aggregator.port: is not set",
    ),
]
CASES = [
    *((chart, *case) for chart in MINIMAL for case in FEDERATION_CASES),
    *(("aggregator", *case) for case in AGGREGATOR_CASES),
    *(("collaborator", *case) for case in SITE_CASES),
]


@pytest.mark.parametrize(
    ("chart", "changes", "said"),
    [pytest.param(chart, changes, said, id=f"{chart}-{name}") for chart, name, changes, said in CASES],
)
def test_a_wrong_value_is_named(install: Install, chart: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=re.escape(said)):
        install(chart, changed(MINIMAL[chart], **changes))


def test_all_wrong_values_are_said_at_once(install: Install) -> None:
    with pytest.raises(Refused) as refused:
        install("collaborator", {})
    named = {line.partition(": ")[0] for line in str(refused.value).splitlines()}
    assert {"run", "federation", "certificates.secret", "site", "shard.claim", "networkPolicy.aggregator"} <= named


@pytest.mark.parametrize(
    ("chart", "values", "objects", "said"),
    [
        ("aggregator", AGGREGATOR, [], "certificates.secret: there is no Secret aggregator-certs in namespace trial"),
        (
            "aggregator",
            AGGREGATOR,
            [("Secret", "aggregator-certs", FILES[:2])],
            "certificates.secret: the Secret aggregator-certs has no key party.key",
        ),
        (
            "aggregator",
            AGGREGATOR,
            [("Secret", "molecules", ["test.csv"])],
            "evaluation.secret: the Secret molecules has no key known.csv",
        ),
        (
            "collaborator",
            changed(SITE, certificates__keys={"certificate": "tls.crt", "key": "tls.key"}),
            [("Secret", "north-certs", FILES)],
            "certificates.secret: the Secret north-certs has no key tls.crt",
        ),
        ("collaborator", SITE, [], "shard.claim: there is no PersistentVolumeClaim molecules in namespace trial"),
        (
            "collaborator",
            changed(SITE, shard={"secret": "molecules"}),
            [("Secret", "molecules", ["other.csv"])],
            "shard.secret: the Secret molecules has no key shard.csv",
        ),
        (
            "collaborator",
            changed(SITE, federation={}, federationConfigMap="settings"),
            [("ConfigMap", "settings", ["settings.yaml"])],
            "federationConfigMap: the ConfigMap settings has no key federation.yaml",
        ),
    ],
)
def test_what_is_not_in_the_cluster_is_missed(
    install: Install, chart: str, values: Values, objects: list[tuple[str, str, list[str]]], said: str
) -> None:
    with pytest.raises(Refused, match=re.escape(said)):
        install(chart, values, cluster_with(*objects))


def test_what_is_there_is_not_missed(install: Install) -> None:
    cluster = cluster_with(("Secret", "north-certs", FILES), ("PersistentVolumeClaim", "molecules", []))
    assert install("collaborator", SITE, cluster).of_kind("StatefulSet")
