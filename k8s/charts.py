"""What the two charts have in common, and what follows from other files: written into both of them.

A chart can only read what lies in its own folder. So the shared templates, the dashboards and alert rules, the icon and
the schema of federation.yaml are copied into each, and README.md follows from the comments in values.yaml.
`make generate` writes them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedmol.fl.federation import Settings

ROOT = Path(__file__).parents[1]
CHARTS = ("aggregator", "collaborator")
_DASHBOARDS = {"aggregator": "federation.json", "collaborator": "site.json"}
_SHARED = ROOT / "k8s" / "shared"
_LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z]+):(?: (?P<default>.*))?")


def generated() -> dict[Path, str]:
    """Every generated file's text, by its path from the repository's root."""
    files: dict[Path, str] = {}
    for name in CHARTS:
        chart = Path("k8s") / name
        files |= {chart / "templates" / "shared" / path.name: path.read_text() for path in _templates()}
        files |= {chart / "files" / path: source.read_text() for path, source in _monitoring(name)}
        files[chart / "Chart.yaml"] = _with_icon((ROOT / chart / "Chart.yaml").read_text())
        files[chart / "values.schema.json"] = json.dumps(schema(name), indent=2) + "\n"
        files[chart / "README.md"] = readme(name)
    return files


def _templates() -> list[Path]:
    return sorted((_SHARED / "templates").iterdir())


def _monitoring(chart: str) -> Iterator[tuple[Path, Path]]:
    """Of each file that the chart hands on: its place in the chart, and where it comes from."""
    yield Path("rules.yml"), ROOT / "docker" / "prometheus" / "rules.yml"
    dashboard = _DASHBOARDS[chart]
    yield Path("dashboards") / dashboard, ROOT / "docker" / "grafana" / "dashboards" / dashboard


def _with_icon(chart: str) -> str:
    icon = base64.b64encode((ROOT / "k8s" / "icon.svg").read_bytes()).decode()
    return re.sub(r"(?m)^icon: .*$", f"icon: data:image/svg+xml;base64,{icon}", chart)


def schema(chart: str) -> dict[str, Any]:
    """values.schema.json: closed, with that of federation.yaml as the program itself has it."""
    common = json.loads((_SHARED / "schema" / "common.json").read_text())
    own = json.loads((_SHARED / "schema" / f"{chart}.json").read_text())
    federation = Settings.model_json_schema(ref_template="#/definitions/{model}")
    definitions = common["definitions"] | federation.pop("$defs")
    del federation["required"]  # nothing is given until it is; then a template asks for the sites
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "definitions": definitions,
        "properties": common["properties"] | own["properties"] | {"federation": federation},
    }


def values(chart: str) -> Iterator[tuple[str, str, str]]:
    """Of every value in values.yaml: its dotted name, its default as it is written, and the comment above it."""
    path: list[str] = []
    comment: list[str] = []
    for line in (ROOT / "k8s" / chart / "values.yaml").read_text().splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.strip(" #"))
            continue
        if found := _LINE.fullmatch(line):
            path = [*path[: len(found["indent"]) // 2], found["key"]]
            yield ".".join(path), found["default"] or "", " ".join(comment)
        comment = []


def readme(chart: str) -> str:
    rows = [
        f"| `{name}` | {f'`{default}`' if default else ''} | {about} |"
        for name, default, about in values(chart)
        if default or about
    ]
    parts = [(_SHARED / "readme" / f"{part}.md").read_text() for part in (chart, "end")]
    table = "\n".join(["## Values", "", "| value | default | what it is |", "| --- | --- | --- |", *rows])
    return "\n".join([*parts, table]) + "\n"
