"""What a federation's settings stand for in Kubernetes: values for each party's chart, with nobody else's affairs."""

from __future__ import annotations

import ipaddress
import textwrap

import yaml

from fedmol.containers.templates import environment
from fedmol.fl.federation import Settings


def aggregator_values(settings: Settings, run: str, origin: str) -> str:
    """Values of the chart `k8s/aggregator`."""
    return environment().get_template("values.aggregator.yaml.j2").render(_common(settings, run, origin))


def site_values(settings: Settings, site: str, run: str, origin: str) -> str:
    """Values of the chart `k8s/collaborator` for one site."""
    return environment().get_template("values.site.yaml.j2").render(_common(settings, run, origin), site=site)


def _common(settings: Settings, run: str, origin: str) -> dict[str, object]:
    document = settings.model_dump(mode="json", exclude_defaults=True)
    address = settings.network.address
    numeric = _is_numeric(address)
    return {
        "run": run,
        "origin": origin,
        "address": address,
        "numeric": numeric,
        "internal": not numeric and "." not in address,  # a Service's own name, which nobody outside the cluster knows
        "namespace": settings.name,
        "federation": textwrap.indent(yaml.safe_dump(document, sort_keys=False), "  ").rstrip(),
    }


def _is_numeric(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
