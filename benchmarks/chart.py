"""The results as one SVG drawing, made of the report's charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from markupsafe import Markup

from benchmarks.contenders import BASELINE
from benchmarks.results import Results
from fedmol.report.svg_charts import HEIGHT, WIDTH, Series, bars, lines

_GAP, _TITLE = 28, 26  # between panels, and above each
_COLUMNS = 2
# The report's charts take their colours from its page; a drawing of its own needs its own.
_STYLE = """
svg { --ink: #1c2227; --soft: #56606a; --rule: #dcd9d1; --ground: #ffffff; --t0: #0b6470; --t1: #c4571b; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6e4df; --soft: #9da7af; --rule: #333b41; --ground: #14181b; --t0: #63c0cb; --t1: #f0935a; }
}
.ground { fill: var(--ground); }
text { font: 11.5px "Inter", "Segoe UI", system-ui, sans-serif; fill: var(--soft); }
text.title { font-size: 13px; font-weight: 600; fill: var(--ink); }
text.y, text.legend { text-anchor: end; }
.legend tspan { fill: var(--tone); }
text.x, text.name { text-anchor: middle; }
.rule { stroke: var(--rule); }
.tone-0 { --tone: var(--t0); } .tone-1 { --tone: var(--t1); }
.chart rect, .line circle { fill: var(--tone); }
.line path { fill: none; stroke: var(--tone); stroke-width: 1.6; }
"""


def drawing(results: Results) -> str:
    """Ratios to the plain baseline as bars; where it was measured, the NLL over the time of training as lines."""
    panels = [
        _bars("Training: molecules per second, times plain", {n: s.ratio.median for n, s in results.training.items()}),
        _bars("Sampling in 500 steps, times plain", {n: s.ratio.median for n, s in results.sampling_in_full.items()}),
        _bars(
            "Sampling by default, times plain in 500 steps",
            {BASELINE: 1.0} | {n: s.ratio.median for n, s in results.sampling_by_default.items()},
        ),
        _bars("Peak memory of training, share of plain's", {n: figure.share for n, figure in results.memory.items()}),
        *_descents(results),
    ]
    return sheet(panels)


def sheet(panels: Sequence[Markup]) -> str:
    """The report's figures as one drawing, in two columns."""
    width = _COLUMNS * (WIDTH + _GAP) + _GAP
    height = -(-len(panels) // _COLUMNS) * (HEIGHT + _TITLE + _GAP) + _GAP
    body = Markup("").join(_placed(panel, k) for k, panel in enumerate(panels))
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}"><style>{}</style>'
        '<rect class="ground" width="100%" height="100%"/>{}</svg>\n'
    ).format(width, height, width, height, Markup(_STYLE), body)


def _bars(title: str, values: Mapping[str, float]) -> Markup:
    return bars(title, list(values), [Series("times plain", list(values.values()), 0)], "", "")


def _descents(results: Results) -> list[Markup]:
    """One panel for each training: their times differ too much for one axis."""
    return [
        lines(
            f"NLL of {name} over {results.unit}s of training",
            [round(second) for second in found.seconds],
            [Series(name, found.nll, int(name == BASELINE))],
            f"{results.unit}s",
            "nats per molecule",
        )
        for name, found in results.time_to_nll.items()
    ]


def _placed(panel: Markup, index: int) -> Markup:
    """The chart in the figure `panel`, with its title above it, at its place in the drawing."""
    figure = ElementTree.fromstring(panel)
    left = _GAP + index % _COLUMNS * (WIDTH + _GAP)
    top = _GAP + index // _COLUMNS * (HEIGHT + _TITLE + _GAP)
    title = Markup('<text class="title" x="{}" y="{}">{}</text>').format(left, top, figure.findtext("figcaption"))
    chart = figure.find("svg")
    if chart is None:
        return title
    chart.attrib.update(x=str(left), y=str(top + _TITLE - 12), width=str(WIDTH), height=str(HEIGHT))
    return title + _legend(figure, left, top) + Markup(ElementTree.tostring(chart, encoding="unicode"))


def _legend(figure: ElementTree.Element, left: int, top: int) -> Markup:
    """The names of the lines in their colours, on the right of the title."""
    names = Markup(" ").join(
        Markup('<tspan class="{}">{}</tspan>').format(item.get("class"), item.text) for item in figure.iter("li")
    )
    return Markup('<text class="legend" x="{}" y="{}">{}</text>').format(left + WIDTH - 12, top, names)
