"""The kinds of panels that the dashboards are made of, each with a title, a description and its queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

AnyPanel = stat.Panel | timeseries.Panel | statetimeline.Panel | bargauge.Panel | table.Panel | heatmap.Panel
P = TypeVar("P", stat.Panel, timeseries.Panel, statetimeline.Panel, bargauge.Panel, table.Panel, heatmap.Panel)


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Place:
    """How much of the grid's 24 columns, and how many of its rows."""

    width: int
    height: int = 8


Steps = Sequence[tuple[float | None, str]]  # from which value on, in which colour


def figure(
    title: str, about: str, place: Place, *queries: Query, unit: str = "short", steps: Steps = (), decimals: int = 0
) -> stat.Panel:
    """Big numbers: what holds now."""
    panel = _furnished(stat.Panel(), title, about, place, queries).unit(unit).decimals(decimals)
    if any(query.legend for query in queries):
        panel = panel.text_mode(shapes.BigValueTextMode.VALUE_AND_NAME)
    return _stepped(panel, steps).graph_mode(shapes.BigValueGraphMode.NONE).reduce_options(_now())


def words(title: str, about: str, place: Place, query: Query, mapping: ValueMap) -> stat.Panel:
    """A number that stands for a word."""
    panel = _furnished(stat.Panel(), title, about, place, [query]).mappings([mapping]).reduce_options(_now())
    return panel.color_mode(shapes.BigValueColorMode.BACKGROUND).graph_mode(shapes.BigValueGraphMode.NONE)


def lines(title: str, about: str, place: Place, *queries: Query, unit: str = "short") -> timeseries.Panel:
    """How it went over time."""
    legend = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.LIST).show_legend(True)
    legend = legend.placement(shapes.LegendPlacement.BOTTOM).calcs(["lastNotNull"])
    tooltip = common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI)
    panel = _furnished(timeseries.Panel(), title, about, place, queries).unit(unit).legend(legend).tooltip(tooltip)
    return panel.line_width(2).fill_opacity(8).show_points(shapes.VisibilityMode.NEVER)


def phases(title: str, about: str, place: Place, query: Query, mapping: ValueMap) -> statetimeline.Panel:
    """Which state held when, one bar for each series."""
    panel = _furnished(statetimeline.Panel(), title, about, place, [query]).mappings([mapping])
    legend = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.LIST).show_legend(True)
    panel = panel.legend(legend.placement(shapes.LegendPlacement.BOTTOM)).fill_opacity(80).line_width(0)
    return panel.merge_values(True).show_value(shapes.VisibilityMode.AUTO)


def bars(
    title: str, about: str, place: Place, query: Query, *, unit: str, steps: Steps, most: float | None = None
) -> bargauge.Panel:
    """One bar for each series: what holds now."""
    panel = _furnished(bargauge.Panel(), title, about, place, [query], instant=True).unit(unit).min(0)
    if most is not None:
        panel = panel.max(most)
    panel = panel.orientation(shapes.VizOrientation.HORIZONTAL).display_mode(shapes.BarGaugeDisplayMode.BASIC)
    return _stepped(panel, steps).reduce_options(_now())


def rows(title: str, about: str, place: Place, query: Query, hidden: Sequence[str]) -> table.Panel:
    """One row for each series, its labels as columns."""
    panel = _furnished(table.Panel(), title, about, place, [query], instant=True, form=PromQueryFormat.TABLE)
    options = {"excludeByName": dict.fromkeys(hidden, True)}
    return panel.show_header(True).with_transformation(DataTransformerConfig("organize", options=options))


def spread(title: str, about: str, place: Place, query: Query, unit: str) -> heatmap.Panel:
    """A histogram's buckets over time."""
    panel = _furnished(heatmap.Panel(), title, about, place, [query], form=PromQueryFormat.HEATMAP).calculate(False)
    colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32)
    return panel.color(colour).y_axis(heatmap.YAxisConfig().unit(unit))


def _furnished(
    panel: P,
    title: str,
    about: str,
    place: Place,
    queries: Sequence[Query],
    *,
    instant: bool = False,
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> P:
    panel = panel.title(title).description(about).datasource(DATASOURCE).span(place.width).height(place.height)
    for name, query in zip(ascii_uppercase, queries, strict=False):
        asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(name)
        asked = asked.format(form).datasource(DATASOURCE)
        panel = panel.with_target(asked.instant() if instant else asked.range())
    return panel


Q = TypeVar("Q", stat.Panel, bargauge.Panel)


def _stepped(panel: Q, steps: Steps) -> Q:
    if not steps:
        return panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.FIXED).fixed_color("text"))
    listed = [Threshold(value, colour) for value, colour in steps]
    panel = panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(listed))
    return panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))


def _now() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
