"""What the dashboards have in common: how they refresh, where their data comes from, and who may change them."""

from __future__ import annotations

import json

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType, VariableOption

from fedmol_dashboards.panels import AnyPanel

_TAG = "fedmol"


def board(uid: str, title: str, about: str) -> dashboard.Dashboard:
    """A dashboard without panels."""
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    source = source.current(VariableOption(text="Prometheus", value="prometheus"))
    others = dashboard.DashboardLink("fedmol").type(DashboardLinkType.DASHBOARDS).tags([_TAG]).keep_time(True)
    made = dashboard.Dashboard(title).uid(uid).description(about).tags([_TAG]).readonly()
    made = made.refresh("5s").time("now-30m", "now").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    return made.with_variable(source).link(others)


def section(made: dashboard.Dashboard, title: str, *panels: AnyPanel) -> dashboard.Dashboard:
    """Panels under a title, from left to right."""
    made = made.with_row(dashboard.Row(title))
    for panel in panels:
        made = made.with_panel(panel)
    return made


def text(made: dashboard.Dashboard) -> str:
    """The file that Grafana reads. It numbers its dashboards itself."""
    content = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    for number, panel in enumerate(content["panels"], start=1):
        panel["id"] = number
    return json.dumps({**content, "id": None}, indent=1, sort_keys=True) + "\n"
