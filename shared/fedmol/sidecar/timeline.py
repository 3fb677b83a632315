"""What each site did when: one bar per site over the newest rounds.

Places are percentages, so that a bar stretches with the page, and attributes: the page allows no inline style.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedmol.formats import duration
from fedmol.telemetry.state import Phase, Round, Run, Span
from fedmol.telemetry.verdict import SILENT_AFTER, site_state

ROUNDS = 5  # shown side by side
PHASES: dict[Phase, str] = {
    "download": "download",
    "validate": "validate",
    "train": "train",
    "upload": "upload",
    "idle": "idle",
    "exchange": "send, wait, receive",
    "silent": "silent",
    "lost": "lost",
}
_HEIGHT = 18  # pixels
_ROOM = 6.0  # percent of the width, for a round's number


@dataclass(frozen=True)
class Row:
    site: str
    bar: Markup


@dataclass(frozen=True)
class Timeline:
    began: float
    ended: float
    header: Markup  # the rounds' numbers
    rows: list[Row]
    phases: list[tuple[Phase, str]]  # that occur, for the legend


def timeline(run: Run, now: float) -> Timeline | None:
    """Of the newest rounds; None before there is anything to show."""
    rounds = [round for round in run.rounds.values() if any(round.spans.values())][-ROUNDS:]
    if not rounds:
        return None
    began = min(round.began for round in rounds)
    until = min(now, (run.last_event or now) + SILENT_AFTER)  # a dead run does not stretch
    ended = max(began + 1, *(round.ended or until for round in rounds))
    scale = _Scale(began, ended)
    names = sorted({name for round in rounds for name in round.spans})
    known = {name: _known_until(run, name, until) for name in names}
    silent = {name for name in names if _fell_silent(run, name) and known[name] < until}
    seen: set[Phase] = {span.phase for round in rounds for spans in round.spans.values() for span in spans}
    if silent:
        seen.add("silent")
    return Timeline(
        began,
        ended,
        _header(rounds, scale),
        [Row(name, _bar(rounds, name, scale, known[name], until if name in silent else None)) for name in names],
        [(phase, title) for phase, title in PHASES.items() if phase in seen],
    )


@dataclass(frozen=True)
class _Scale:
    began: float
    ended: float

    def at(self, time: float) -> float:
        return 100 * (min(max(time, self.began), self.ended) - self.began) / (self.ended - self.began)


def _known_until(run: Run, site: str, until: float) -> float:
    """Where the site's current phase is drawn to: up to its last sign of life, unless it is alive."""
    known = run.sites.get(site)
    if known is None or known.seen is None:
        return until
    state, _ = site_state(known, run, until)
    return known.seen if state in ("late", "refused", "failed", "stopped", "unknown") else until


def _fell_silent(run: Run, site: str) -> bool:
    """Whether its silence is to be drawn: of a site that is gone it is known why."""
    known = run.sites.get(site)
    return run.open and known is not None and known.state not in ("refused", "failed", "stopped", "lost", "removed")


def _header(rounds: Iterable[Round], scale: _Scale) -> Markup:
    marks, free = "", 0.0
    for round in rounds:
        if (at := scale.at(round.began)) >= free:
            marks += f'<text x="{at:.3f}%" y="13" dx="4">{round.number}</text>'
            free = at + _ROOM
    return Markup(f'<svg class="lane" width="100%" height="{_HEIGHT}" aria-hidden="true">{marks}</svg>')


def _bar(rounds: Sequence[Round], site: str, scale: _Scale, until: float, silent_until: float | None) -> Markup:
    """`until` the site was heard of, or is; `silent_until` is drawn to as a silence from there."""
    drawn = "".join(
        part
        for round in rounds
        for part in (_begin(round, scale), *(_span(span, round, scale, until) for span in round.spans.get(site, ())))
    )
    last = rounds[-1]
    if silent_until is not None and last.ended is None:
        drawn += _span(Span("silent", max(until, last.began), silent_until), last, scale, silent_until)
    return Markup('<svg class="lane" width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(
        _HEIGHT, f"timeline of {site}", Markup(drawn)
    )


# There are thousands of these. They hold numbers and our own words only, so nothing has to be escaped, which is slow.


def _begin(round: Round, scale: _Scale) -> str:
    at = scale.at(round.began)
    return f'<line x1="{at:.3f}%" x2="{at:.3f}%" y1="0" y2="{_HEIGHT}"/>'


def _span(span: Span, round: Round, scale: _Scale, until: float) -> str:
    ended = span.ended or max(span.began, until)
    left = scale.at(span.began)
    width = max(0.15, scale.at(ended) - left)
    title = f"round {round.number}: {PHASES[span.phase]}, {duration(ended - span.began)}"
    place = f'x="{left:.3f}%" width="{width:.3f}%" y="2" height="14"'
    return f'<rect class="{span.phase}" {place}><title>{title}</title></rect>'
