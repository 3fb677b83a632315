"""Grafana's dashboards ask for nothing that no sidecar tells."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
import yaml
from prometheus_client.core import Metric

from fedmol.pki import certificates
from fedmol.sidecar.log_watch import Watch
from fedmol.sidecar.prometheus import RunCollector
from fedmol.telemetry.events.round_events import ModelValidated, RoundModelReceived
from fedmol.telemetry.events.site_events import TrainingStep
from fedmol.telemetry.log import EventLog
from tests.support.expressions import ROOT, all_expressions, dashboards, rules, without_comparison
from tests.support.promql import named
from tests.support.story import Story, evaluation

TARGET = {"job", "instance", "party"}  # the labels that Prometheus adds
PROVISIONING = ROOT / "docker" / "grafana" / "provisioning"

Labels = dict[str, set[str]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """What sidecars tell, by name, with the labels of each: beside an aggregator, and beside a site."""
    aggregator, site = tmp_path_factory.mktemp("aggregator"), tmp_path_factory.mktemp("site")
    Story(aggregator, ["north", "south"]).start().gather().play(1).play(2)
    (aggregator / "evaluation.json").write_text(json.dumps(evaluation()))
    certificates.make_ca(site / "ca", "trial", timedelta(days=9))
    certificates.issue_site(site / "ca", site / "certs", "north", timedelta(days=9))
    log = EventLog(site / "events.jsonl", run="trial", site="north")
    log.write(RoundModelReceived(bytes=400), round=1)
    log.write(ModelValidated(nll=80.0), round=1)
    log.write(TrainingStep(step=1, steps=4, loss=2.0, molecules_per_second=9.0), round=1, phase="training")
    return _told(Watch(aggregator)) | _told(Watch(site, site / "certs"))


def _told(watch: Watch) -> Labels:
    watch.catch_up()
    families: list[Metric] = list(RunCollector(watch).collect())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


@pytest.fixture(scope="module")
def known(exported: Labels) -> Labels:
    """All that can be asked for: what sidecars tell, what rules record of it, and what Prometheus tells of itself."""
    every = {name: labels | TARGET for name, labels in exported.items()}
    recorded = {rule["record"]: {"job", "party"} for rule in rules() if "record" in rule}
    alerts = {"alertname", "alertstate", "severity"}.union(*every.values())
    return every | recorded | {"up": TARGET, "ALERTS": alerts}


def test_dashboards_are_provisioned_under_fixed_names_and_cannot_be_edited() -> None:
    boards = dashboards()
    assert sorted(board["uid"] for board in boards) == ["fedmol-federation", "fedmol-site"]
    for board in boards:
        assert (board["id"], board["editable"], board["refresh"]) == (None, False, "5s")
        assert board["schemaVersion"] >= 36
        assert "fedmol" in board["tags"]
    providers = yaml.safe_load((PROVISIONING / "dashboards" / "fedmol.yaml").read_text())
    assert (providers["apiVersion"], providers["providers"][0]["allowUiUpdates"]) == (1, False)


def test_every_panel_takes_its_data_from_the_variable_that_names_the_provisioned_source() -> None:
    said = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())
    source = said["datasources"][0]
    assert (said["apiVersion"], source["uid"], source["url"]) == (1, "prometheus", "http://prometheus:9090")
    for board in dashboards():
        variable = board["templating"]["list"][0]
        assert (variable["name"], variable["type"]) == ("datasource", "datasource")
        assert variable["current"]["value"] == source["uid"]
        for panel in board["panels"]:
            used = [one["datasource"]["uid"] for one in (panel, *panel.get("targets", ())) if panel["type"] != "row"]
            assert set(used) <= {"${datasource}"}


def test_every_panel_says_what_it_shows_and_fits_the_grid() -> None:
    for board in dashboards():
        places: set[tuple[int, int]] = set()
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        for panel in panels:
            assert panel["description"].endswith("."), panel["title"]
            assert panel["targets"], panel["title"]
            at = panel["gridPos"]
            covered = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert at["x"] + at["w"] <= 24, panel["title"]
            assert not places & covered, panel["title"]
            places |= covered


@pytest.mark.parametrize(
    ("where", "expression"), list(all_expressions()), ids=[where for where, _ in all_expressions()]
)
def test_an_expression_names_only_what_is_told(where: str, expression: str, known: Labels) -> None:
    asked = named(expression)
    assert "$" not in expression
    assert asked.metrics, "an expression that names no metric"
    unknown = asked.metrics.keys() - known.keys()
    assert not unknown, f"{where}: no sidecar tells {unknown}"
    for metric, labels in asked.metrics.items():
        assert labels <= known[metric], f"{where}: {metric} has no {labels - known[metric]}"
    every = set().union(*(known[metric] for metric in asked.metrics))
    assert asked.grouped <= every, f"{where}: nothing has the label {asked.grouped - every}"


def test_a_legend_names_only_labels_that_are_there(known: Labels) -> None:
    for board in dashboards():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                asked = named(target["expr"])
                there = asked.grouped or set().union(*(known[metric] for metric in asked.metrics))
                assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= there, panel["title"]


def test_what_is_recorded_is_looked_at() -> None:
    used = {metric for _, expression in all_expressions() for metric in named(expression).metrics}
    assert {rule["record"] for rule in rules() if "record" in rule} <= used


def test_names_are_found_wherever_they_stand_in_an_expression() -> None:
    asked = named(
        'sum by (a, b) (rate(x_total{c="d{e}",f!~"g"}[$__rate_interval])) / on (h) group_left () (y:z offset 5m) > 1e3'
    )
    assert asked.metrics == {"x_total": {"c", "f"}, "y:z": set()}
    assert asked.grouped == {"a", "b", "h"}
    assert without_comparison("a / (b > 0) < 30 >= 7") == "a / (b > 0)"
