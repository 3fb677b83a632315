"""Every expression that Prometheus is ever asked: by panels, variables, recording rules and alerts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "docker" / "grafana" / "dashboards"
PROMETHEUS = ROOT / "docker" / "prometheus"

_COMPARISON = re.compile(r"\s*(?:==|!=|>=|<=|>|<)\s*[-+\d.e]+$")
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), *\w+\)")


def all_expressions(site: str = "north", window: str = "1m") -> Iterator[tuple[str, str]]:
    """Where it stands, and the expression with Grafana's variables filled in; an alert's without its comparison.

    Each returns something of a run that is in order, once a round is over and molecules have been sampled.
    """
    for where, expression in (*dashboard_expressions(), *rule_expressions()):
        values = {"__rate_interval": window, "__interval": "5s", "__range": window, "site": site}
        yield where, re.sub(r"\$\{?(\w+)\}?", lambda found, of=values: of[found[1]], expression)  # type: ignore[misc]


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    for board in dashboards():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield f"{board['uid']}, panel {panel['title']}, query {target['refId']}", target["expr"]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{board['uid']}, variable {variable['name']}", series_of(variable["query"])


def rule_expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        if "record" in rule:
            yield f"rules.yml, record {rule['record']}", rule["expr"]
        else:
            severity = rule["labels"]["severity"]
            yield f"rules.yml, alert {rule['alert']}, {severity}", without_comparison(rule["expr"])


def dashboards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))]


def rules() -> list[dict[str, Any]]:
    said = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
    return [rule for group in said["groups"] for rule in group["rules"]]


def without_comparison(expression: str) -> str:
    """What an alert compares with numbers, at its outermost level."""
    while bare := _COMPARISON.sub("", expression):
        if bare == expression:
            return bare
        expression = bare
    raise ValueError("nothing but a comparison")


def series_of(query: str) -> str:
    """What a variable takes its values from."""
    found = _LABEL_VALUES.fullmatch(query)
    if found is None:
        raise ValueError(f"not a label_values query: {query}")
    return found["series"]
