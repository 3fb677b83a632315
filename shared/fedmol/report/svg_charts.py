"""Line and bar charts as inline SVG. Colours and type come from the page's style sheet, so charts follow its light and
dark dress; every value can also be read from a tooltip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 232
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 42


@dataclass(frozen=True)
class Series:
    """One line, or one colour of bars. A line's points may have gaps."""

    name: str
    values: Sequence[float | None]
    tone: int
    emphasis: bool = False  # a line drawn stronger than the others
    dashed: bool = False


def lines(
    title: str, x: Sequence[int], series: Sequence[Series], x_name: str, y_name: str, log: bool = False
) -> Markup:
    """Lines over `x`, with `log` over its logarithm; the vertical axis starts where the values do."""
    drawn = [line for line in series if _real(line.values)]
    values = [value for line in drawn for value in _real(line.values)]
    if not values or not x:
        return _empty(title)
    frame = _Frame(ticks(min(values), max(values)))
    along = [math.log(number) for number in x] if log else x
    places = [frame.x(_position(number, along)) for number in along]
    body = [frame.grid(y_name), _x_ticks(x, places, x_name)]
    body += [_line(line, x, places, frame, x_name) for line in sorted(drawn, key=lambda line: line.emphasis)]
    return _figure(title, body, drawn if len(drawn) > 1 else [])


def bars(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    x_name: str,
    y_name: str,
    stacked: bool = False,
    percent: bool = False,
) -> Markup:
    """Bars from zero: side by side, or `stacked`. With `percent` the values are shares of one."""
    sums = [sum(bar.values[k] or 0 for bar in series) if stacked else max(bar.values[k] or 0 for bar in series)
            for k in range(len(labels))]  # fmt: skip
    if not labels or not max(sums, default=0):
        return _empty(title)
    frame = _Frame(ticks(0, max(sums)), percent)
    slot = (WIDTH - _LEFT - _RIGHT) / len(labels)
    places = [_LEFT + slot * (k + 0.5) for k in range(len(labels))]
    body = [frame.grid(y_name), _bar_labels(labels, places, slot, x_name)]
    for k, label in enumerate(labels):
        body += (
            _stack(label, k, series, frame, places[k], slot)
            if stacked
            else _group(label, k, series, frame, places[k], slot)
        )
    return _figure(title, body, series if len(series) > 1 else [])


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose `low` and `high`."""
    size = max(abs(low), abs(high))
    span = high - low if high - low > 1e-9 * size else size or 1.0
    rough = span / 4 or 1.0  # the smallest number there is has no quarter
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if rough <= power * factor * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{step * k:.12g}") for k in range(first, max(last, first + 1) + 1)]


def _real(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _position(value: float, x: Sequence[float]) -> float:
    """0 to 1 along the axis; a single value stands in the middle."""
    return (value - x[0]) / (x[-1] - x[0]) if x[-1] != x[0] else 0.5


class _Frame:
    """The plotting area and its vertical scale."""

    def __init__(self, marks: list[float], percent: bool = False) -> None:
        self.marks, self.percent = marks, percent

    def x(self, position: float) -> float:
        return _LEFT + 8 + position * (WIDTH - _LEFT - _RIGHT - 16)

    def y(self, value: float) -> float:
        low, high = self.marks[0], self.marks[-1]
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    def text(self, value: float) -> str:
        return f"{100 * value:.3g} %" if self.percent else f"{value:,.6g}"

    def grid(self, name: str) -> Markup:
        rule = Markup('<line class="rule" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
        text = Markup('<text class="y" x="{}" y="{:.1f}">{}</text>')
        rules = Markup("").join(
            rule.format(_LEFT, WIDTH - _RIGHT, self.y(mark), self.y(mark))
            + text.format(_LEFT - 7, self.y(mark) + 4, self.text(mark))
            for mark in self.marks
        )
        if not name:
            return rules
        middle = (HEIGHT - _BOTTOM + _TOP) / 2
        return rules + Markup('<text class="name" transform="translate(11 {:.0f}) rotate(-90)">{}</text>').format(
            middle, name
        )


def _x_ticks(x: Sequence[int], places: list[float], name: str) -> Markup:
    every = max(1, math.ceil(len(x) / 10))
    return Markup("").join(
        Markup('<text class="x" x="{:.1f}" y="{}">{}</text>').format(place, HEIGHT - _BOTTOM + 16, value)
        for k, (value, place) in enumerate(zip(x, places, strict=True))
        if k % every == 0
    ) + _x_name(name)


def _bar_labels(labels: Sequence[str], places: list[float], slot: float, name: str) -> Markup:
    widest = max(len(label) for label in labels) * 7 + 4  # a digit is about 7 wide
    every = max(1, math.ceil(widest / slot))
    return Markup("").join(
        Markup('<text class="x" x="{:.1f}" y="{}">{}</text>').format(place, HEIGHT - _BOTTOM + 16, label)
        for k, (label, place) in enumerate(zip(labels, places, strict=True))
        if k % every == 0
    ) + _x_name(name)


def _x_name(name: str) -> Markup:
    return Markup('<text class="name" x="{:.0f}" y="{}">{}</text>').format(
        (WIDTH + _LEFT - _RIGHT) / 2, HEIGHT - 6, name
    )


def _line(series: Series, x: Sequence[int], places: list[float], frame: _Frame, x_name: str) -> Markup:
    points = [
        (place, frame.y(value), at, value)
        for place, at, value in zip(places, x, series.values, strict=True)
        if value is not None and math.isfinite(value)
    ]
    path = " ".join(f"{'M' if k == 0 else 'L'}{px:.1f} {py:.1f}" for k, (px, py, _, _) in enumerate(points))
    label, radius = escape(f"{series.name}, {x_name}"), 2.6 if len(points) <= 40 else 1.2
    dots = "".join(  # many, so what has to be escaped is escaped once
        f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{radius}"><title>{label} {at}: {value:.4g}</title></circle>'
        for px, py, at, value in points
    )
    style = f"{' strong' if series.emphasis else ''}{' dashed' if series.dashed else ''}"
    return Markup('<g class="line tone-{}{}"><path d="{}"/>{}</g>').format(series.tone, style, path, Markup(dots))


def _group(label: str, k: int, series: Sequence[Series], frame: _Frame, place: float, slot: float) -> list[Markup]:
    width = min(34.0, slot * 0.76 / len(series))
    left = place - width * len(series) / 2
    return [_bar(bar, label, bar.values[k] or 0, 0, frame, left + n * width, width) for n, bar in enumerate(series)]


def _stack(label: str, k: int, series: Sequence[Series], frame: _Frame, place: float, slot: float) -> list[Markup]:
    width, below, parts = min(34.0, slot * 0.76), 0.0, []
    for bar in series:
        value = bar.values[k] or 0
        parts.append(_bar(bar, label, value, below, frame, place - width / 2, width))
        below += value
    return parts


def _bar(series: Series, label: str, value: float, below: float, frame: _Frame, left: float, width: float) -> Markup:
    top, bottom = frame.y(below + value), frame.y(below)
    text = f"{100 * value:.2f} %" if frame.percent else f"{value:,.4g}"
    return Markup(
        '<rect class="tone-{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}, {}: {}</title></rect>'
    ).format(series.tone, left, top, max(width - 1, 0.5), max(bottom - top, 0), series.name, label, text)


def _figure(title: str, body: list[Markup], legend: Sequence[Series]) -> Markup:
    drawing = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup("").join(body)
    )
    keys = Markup("").join(
        Markup('<li class="tone-{}{}">{}</li>').format(key.tone, " dashed" if key.dashed else "", key.name)
        for key in legend
    )
    below = Markup('<ul class="legend">{}</ul>').format(keys) if legend else Markup("")
    return Markup('<figure class="plot"><figcaption>{}</figcaption>{}{}</figure>').format(title, drawing, below)


def _empty(title: str) -> Markup:
    return Markup(
        '<figure class="plot"><figcaption>{}</figcaption><p class="absent">Nothing to draw yet.</p></figure>'
    ).format(title)
