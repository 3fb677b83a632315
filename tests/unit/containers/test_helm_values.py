from __future__ import annotations

from typing import Any

import pytest
import yaml

from fedmol.containers.helm_values import aggregator_values, site_values
from fedmol.fl.federation import Settings, parse


def settings(address: str) -> Settings:
    document = {"sites": [{"name": "north"}, {"name": "south"}], "network": {"address": address, "port": 443}}
    return parse({**document, "name": "trial"}, "test")


def values(address: str, site: str = "north") -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(site_values(settings(address), site, "trial-1", "federation.yaml"))
    return loaded


def test_a_sites_values_are_its_own() -> None:
    said = values("fl.example.org")
    federation = said.pop("federation")
    assert "south" not in str(said)
    assert said["site"] == "north"
    assert said["shard"] == {"claim": "north-shard"}
    assert parse(federation, "values") == settings("fl.example.org")


@pytest.mark.parametrize(
    ("address", "policy"),
    [
        ("aggregator", {"aggregator": {"namespaces": ["trial"]}}),
        ("fl.example.org", {"aggregator": {"cidrs": []}}),
        ("198.51.100.7", None),
    ],
)
def test_a_site_is_let_out_as_far_as_the_address_tells(address: str, policy: dict[str, Any] | None) -> None:
    assert values(address).get("networkPolicy") == policy


def test_outside_the_cluster_the_aggregator_is_reached_by_a_load_balancer() -> None:
    def said(address: str) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load(aggregator_values(settings(address), "trial-1", "federation.yaml"))
        return loaded

    assert said("fl.example.org")["service"] == {"type": "LoadBalancer"}
    assert "service" not in said("aggregator")
    assert said("aggregator")["run"] == "trial-1"
