"""Values, their schema, their comments and the charts' READMEs belong together."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s import charts, rendering
from k8s.rendering import ROOT
from tests.support.trial import MINIMAL

CHARTS = pytest.mark.parametrize("chart", charts.CHARTS)
# Where the two charts do not say the same of a value that both have.
OWN = {
    "certificates",
    "certificates.certManager.enabled",
    "federation",
    "federationConfigMap",
    "run",
    "startupSeconds",
    "state",
}
OWN |= {"image.repository", "networkPolicy", "resources", "tests"}


def test_no_template_is_edited_in_one_chart_alone() -> None:
    folders = [ROOT / "k8s" / chart / "templates" / "shared" for chart in charts.CHARTS]
    aggregator, collaborator = ({path.name: path.read_text() for path in folder.iterdir()} for folder in folders)
    assert aggregator == collaborator != {}


@CHARTS
def test_the_chart_is_of_the_programs_version(chart: str) -> None:
    described = yaml.safe_load((ROOT / "k8s" / chart / "Chart.yaml").read_text())
    program = tomllib.loads((ROOT / chart / "pyproject.toml").read_text())["project"]["version"]
    assert described["appVersion"] == program
    assert described["apiVersion"] == "v2"
    assert described["kubeVersion"].startswith(">=1.20")


@CHARTS
def test_helm_finds_no_fault(helm: Executor, chart: str) -> None:
    assert helm.submit(rendering.lint, chart).result(timeout=60) == []


def _schema(chart: str) -> Any:
    return json.loads((ROOT / "k8s" / chart / "values.schema.json").read_text())


def _objects(schema: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object" or "properties" in schema:
            yield place, schema
        for key, value in schema.items():
            yield from _objects(value, f"{place}/{key}")
    elif isinstance(schema, list):
        for position, value in enumerate(schema):
            yield from _objects(value, f"{place}/{position}")


@CHARTS
def test_the_schema_is_closed(chart: str) -> None:
    for place, schema in _objects(_schema(chart)):
        if place != "/properties/global":  # what a chart around this one shares with all of its charts
            assert schema.get("additionalProperties", True) is not True, place


def _known(schema: Any, definitions: Any, path: str = "") -> Iterator[str]:
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for key, value in schema.get("properties", {}).items():
        name = f"{path}.{key}".lstrip(".")
        yield name
        if name not in ("federation", "global"):
            yield from _known(value, definitions, name)


@CHARTS
def test_every_value_is_in_the_schema_and_every_entry_of_the_schema_has_its_default(chart: str) -> None:
    schema = _schema(chart)
    values = {name for name, _, _ in charts.values(chart)}
    assert set(_known(schema, schema["definitions"])) - {"global"} == values


@CHARTS
def test_every_value_is_commented_and_stands_in_the_readme(chart: str) -> None:
    readme = (ROOT / "k8s" / chart / "README.md").read_text()
    for name, default, comment in charts.values(chart):
        assert comment or not default, name
        assert not comment or f"| `{name}` | " in readme


def test_what_both_charts_have_is_the_same_in_both() -> None:
    aggregator, collaborator = ({n: rest for n, *rest in charts.values(chart)} for chart in charts.CHARTS)
    for name in aggregator.keys() & collaborator.keys() - OWN:
        assert aggregator[name] == collaborator[name], name


@CHARTS
def test_the_readmes_example_installs(install: rendering.Install, chart: str) -> None:
    readme = (ROOT / "k8s" / chart / "README.md").read_text()
    values = yaml.safe_load(readme.partition("```yaml\n")[2].partition("```")[0])
    assert values["run"] == MINIMAL[chart]["run"]
    assert install(chart, values).of_kind("StatefulSet")


@pytest.mark.parametrize("values", sorted((ROOT / "k8s" / "values").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_values_of_the_default_federation_install(install: rendering.Install, values: Path) -> None:
    chart = "aggregator" if values.stem == "aggregator" else "collaborator"
    release = install(chart, yaml.safe_load(values.read_text()))
    assert release.pod["metadata"]["labels"]["party"] == values.stem
