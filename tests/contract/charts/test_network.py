"""Who may talk to whom: nobody, but for the flows that are named."""

from __future__ import annotations

from typing import Any

import pytest

from k8s.rendering import Install, Object, Release
from tests.support.trial import AGGREGATOR, MINIMAL, SITE, changed


def _policies(release: Release) -> dict[str, Object]:
    return {one["metadata"]["name"]: one["spec"] for one in release.of_kind("NetworkPolicy")}


def _namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _cidr(cidr: str) -> Object:
    return {"ipBlock": {"cidr": cidr}}


def _tcp(port: int) -> list[Object]:
    return [{"port": port, "protocol": "TCP"}]


DNS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


def test_without_a_word_nothing_gets_in_or_out(release: Release) -> None:
    (deny,) = (spec for name, spec in _policies(release).items() if name.endswith("-deny"))
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & deny.keys()
    for pod in release.pods:
        assert deny["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_no_rule_is_for_everybody(release: Release) -> None:
    for spec in _policies(release).values():
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
            assert rule["ports"]
            peers = rule.get("from") or rule["to"]
            assert peers
            assert all(peer != {} for peer in peers)


def test_sites_come_to_the_aggregators_port_and_prometheus_to_the_sidecars(install: Install) -> None:
    policies = _policies(install("aggregator", AGGREGATOR))
    assert policies["fl-sites"]["ingress"] == [
        {"from": [_cidr("203.0.113.0/24"), _namespace("north")], "ports": _tcp(50051)}
    ]
    assert policies["fl-scrape"]["ingress"] == [{"from": [_namespace("monitoring")], "ports": _tcp(8080)}]
    assert not any("egress" in spec for spec in policies.values())


def _egress(install: Install, **changes: Any) -> Any:
    policies = _policies(install("collaborator", changed(SITE, **changes)))
    assert not any("ingress" in spec for name, spec in policies.items() if name != "fl-scrape")
    return policies["fl-aggregator"]["egress"]


def test_a_site_goes_to_the_aggregator_and_to_the_name_server(install: Install) -> None:
    assert _egress(install) == [
        {"to": [_cidr("198.51.100.7/32")], "ports": _tcp(50051)},
        {"to": [_cidr("169.254.20.10/32"), _namespace("kube-system")], "ports": DNS},
    ]


def test_an_address_needs_neither_rule_nor_name_server(install: Install) -> None:
    network = {"address": "198.51.100.9", "port": 443}
    assert _egress(install, federation__network=network, networkPolicy={}) == [
        {"to": [_cidr("198.51.100.9/32")], "ports": _tcp(443)}
    ]


def test_in_one_cluster_the_port_is_the_containers(install: Install) -> None:
    aggregator = {"namespaces": ["coordinator"], "port": 50051}
    egress = _egress(
        install, federation__network={"address": "fl", "port": 443}, networkPolicy={"aggregator": aggregator}
    )
    assert egress[0] == {"to": [_namespace("coordinator")], "ports": _tcp(50051)}


def test_nobody_scrapes_when_nobody_is_named(install: Install) -> None:
    values = changed(AGGREGATOR, networkPolicy__prometheus={"namespaces": []})
    assert "fl-scrape" not in _policies(install("aggregator", values))


@pytest.mark.parametrize("chart", MINIMAL)
def test_policies_can_be_left_to_the_cluster_and_the_notes_warn(install: Install, chart: str) -> None:
    release = install(chart, changed(MINIMAL[chart], networkPolicy={"enabled": False}))
    assert not release.of_kind("NetworkPolicy")
    assert "WARNING: networkPolicy.enabled is false" in release.notes
