"""What is known of a run as far as its event log has been read. Its size has bounds, whatever the log's is."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

SiteState = Literal[
    "connecting", "reading", "waiting", "receiving", "validating", "training", "sending", "late", "hung", "lost",
    "refused", "failed", "stopped", "removed", "finished", "unknown",
]  # fmt: skip
RunState = Literal["waiting-for-log", "gathering", "running", "silent", "finished", "stopped"]
Phase = Literal["download", "validate", "train", "upload", "idle", "exchange", "silent", "lost"]
Role = Literal["aggregator", "site"]
Outcome = Literal["received", "refused", "late", "not-counted"]
SITE_STATES: tuple[SiteState, ...] = get_args(SiteState)
RUN_STATES: tuple[RunState, ...] = get_args(RunState)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

LATE_AFTER = 12.0  # seconds; a site in a run gives a sign of life every second, and one in eight at least is logged
ROUND_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)  # the edges of the rounds' histogram
DETAILED_ROUNDS = 30  # the newest ones, whose timelines are kept
_ROUNDS, _FIGURES = 2000, 60_000  # rounds that are kept, and figures of sites in them
_SPANS, _SPANS_EACH = 2000, 6  # of a round, and more for each site
_INCIDENTS = 50
_TENSORS = _MESSAGES = 1000


@dataclass(slots=True)
class Span:
    """One phase of a site in a round, in seconds since 1970; `ended` is None while it lasts."""

    phase: Phase
    began: float
    ended: float | None = None


@dataclass(slots=True)
class Incident:
    """Something that did not go as planned. Equal ones that follow each other are told once, with how often."""

    time: float  # of the newest
    what: str
    site: str
    round: int | None
    detail: str
    times: int = 1


@dataclass(slots=True)
class Tensor:
    """A tensor that left the site, and how often."""

    name: str
    shape: tuple[int, ...]
    bytes: int
    times: int = 0
    last_round: int | None = None


@dataclass(slots=True)
class Sent:
    """Messages of one call that hold the same fields, as a site's own log tells."""

    call: str
    holds: tuple[str, ...]
    bytes: int = 0
    times: int = 0


@dataclass(slots=True)
class Site:
    name: str
    state: SiteState = "connecting"
    detail: str = ""
    since: float = 0.0  # when the log last said what it does
    seen: float | None = None  # when it last gave a sign of life
    gap: float = 0.0  # seconds between its last two signs
    round: int | None = None
    step: int = 0
    steps: int = 0
    steps_total: int = 0
    loss: float | None = None
    nll: float | None = None
    norm: float | None = None  # of its last update
    molecules: int | None = None
    weight: float | None = None
    molecules_per_second: float | None = None
    seconds_left: float | None = None  # of the round's training
    sent_bytes: int = 0
    received_bytes: int = 0
    has_model: bool = False  # the final one, as it says
    updates: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))

    def become(self, state: SiteState, detail: str, time: float) -> None:
        self.state, self.detail, self.since = state, detail, time


@dataclass(slots=True)
class Round:
    number: int
    began: float
    ended: float | None = None
    seconds: float | None = None
    seconds_outside_training: float | None = None
    loss: float | None = None
    losses_told: int = 0  # that a site's own log has the mean of
    nll: float | None = None  # of the model that entered it
    missing: list[str] = field(default_factory=list)
    site_loss: dict[str, float] = field(default_factory=dict)
    site_nll: dict[str, float] = field(default_factory=dict)
    spans: dict[str, list[Span]] = field(default_factory=dict)  # of the newest rounds only
    drawn: int = 0  # spans

    def enter(self, site: str, phase: Phase, time: float) -> None:
        """The site's current span ends and the next one begins, unless it goes on or the round is over.

        What is only known afterwards may have begun before the last thing that was heard of.
        """
        if self.ended is not None:
            return
        spans = self.spans.setdefault(site, [])
        if spans and spans[-1].ended is None:
            if spans[-1].phase == phase:
                return
            if self.drawn >= _SPANS + _SPANS_EACH * len(self.spans):
                return
            time = max(time, spans[-1].began)
            spans[-1].ended = time
        spans.append(Span(phase, max(time, self.began)))
        self.drawn += 1

    def tell_loss(self, loss: float) -> None:
        """One more step's loss into the mean."""
        self.losses_told += 1
        self.loss = (self.loss or 0.0) + (loss - (self.loss or 0.0)) / self.losses_told

    def close(self, time: float) -> None:
        self.ended = time
        for spans in self.spans.values():
            if spans and spans[-1].ended is None:
                spans[-1].ended = time


@dataclass
class Past:
    """Finished rounds of which nothing else is kept."""

    rounds: int = 0
    by_seconds: list[int] = field(default_factory=lambda: [0] * (len(ROUND_SECONDS) + 1))
    seconds: float = 0.0

    def take(self, one: Round) -> None:
        if one.ended is not None:
            self.rounds += 1
        if one.seconds is not None:
            self.by_seconds[bisect_left(ROUND_SECONDS, one.seconds)] += 1
            self.seconds += one.seconds


@dataclass
class Run:
    """An aggregator's log tells of all sites; a site's log of that site alone."""

    role: Role | None = None
    run: str = ""
    owner: str = ""  # who writes the log
    began: float | None = None
    last_event: float | None = None
    progressed: float | None = None  # when training last moved on: a step, an update, a start
    rounds_target: int | None = None
    quorum: int | None = None
    parameters: int | None = None
    model_bytes: int | None = None
    local_steps: int | None = None
    round: int = 0
    agreed: bool = False
    outcome: str | None = None  # once it is finished
    stopped: str | None = None  # why, once it is stopped
    stopped_with: str | None = None  # the exit's slug
    missing: list[str] = field(default_factory=list)  # at the end
    missed_rounds: dict[str, int] = field(default_factory=dict)  # by site, once it is finished
    sites: dict[str, Site] = field(default_factory=dict)
    rounds: dict[int, Round] = field(default_factory=dict)  # the newest ones, in order
    past: Past = field(default_factory=Past)  # those before
    changes: int = 0  # of the settings, by the coordinator
    anchored: int | None = None  # the last round of which a site keeps an anchor of the aggregator's log
    leaving: dict[str, int] = field(default_factory=dict)  # sites that are removed, from which round on
    tensors: dict[tuple[str, tuple[int, ...], int], Tensor] = field(default_factory=dict)
    messages: dict[tuple[str, tuple[str, ...]], Sent] = field(default_factory=dict)  # that left the site
    refusals: dict[str, int] = field(default_factory=dict)  # by reason
    incidents: deque[Incident] = field(default_factory=lambda: deque(maxlen=_INCIDENTS))
    misread: int = 0  # events whose fields were not what their kind has
    misread_line: int | None = None  # of the log, the first one

    @property
    def open(self) -> bool:
        return self.outcome is None and self.stopped is None

    @property
    def finished_rounds(self) -> list[Round]:
        return [one for one in self.rounds.values() if one.ended is not None]

    @property
    def rounds_finished(self) -> int:
        return self.past.rounds + len(self.finished_rounds)

    def reopen(self, time: float) -> None:
        """A party that had ended goes on; its next step is waited for from now."""
        self.outcome = self.stopped = self.stopped_with = None
        self.progressed = time

    def site(self, name: str) -> Site:
        return self.sites.setdefault(name, Site(name))

    def open_round(self, number: int, time: float) -> Round:
        """A fresh account of the round; a round that is played again replaces its first account."""
        self.round = number
        self.rounds.pop(number, None)
        self.rounds[number] = Round(number, time)
        for old in list(self.rounds.values())[: -DETAILED_ROUNDS or None][-2:]:
            old.spans = {}
        most = max(DETAILED_ROUNDS, min(_ROUNDS, _FIGURES // max(1, len(self.sites))))
        while len(self.rounds) > most:
            self.past.take(self.rounds.pop(next(iter(self.rounds))))
        return self.rounds[number]

    def report(self, incident: Incident) -> None:
        """The newest incident; one that is only told afterwards takes its place in time among the others."""
        place = len(self.incidents)
        if self.last_event is not None and incident.time < self.last_event:
            while place and self.incidents[place - 1].time > incident.time:
                place -= 1
        last = self.incidents[place - 1] if place else None
        if last and (last.what, last.site, last.detail) == (incident.what, incident.site, incident.detail):
            last.time, last.times = incident.time, last.times + incident.times
        elif len(self.incidents) < _INCIDENTS:
            self.incidents.insert(place, incident)
        elif place:
            self.incidents.popleft()
            self.incidents.insert(place - 1, incident)

    def left(self, name: str, shape: tuple[int, ...], bytes: int, round: int | None) -> None:
        """A tensor has left the site."""
        key = (name, shape, bytes)
        if key in self.tensors or len(self.tensors) < _TENSORS:
            tensor = self.tensors.setdefault(key, Tensor(name, shape, bytes))
            tensor.times, tensor.last_round = tensor.times + 1, round

    def sent(self, call: str, holds: Iterable[str], bytes: int, times: int) -> None:
        """Messages have left the site."""
        key = (call, tuple(holds))
        if key in self.messages or len(self.messages) < _MESSAGES:
            sent = self.messages.setdefault(key, Sent(*key))
            sent.bytes, sent.times = sent.bytes + bytes, sent.times + times


def by_site(figures: Mapping[str, float | None], sites: Mapping[str, Site]) -> dict[str, float]:
    """The figures that there are of known sites. Thousands of rounds share one copy of each name."""
    return {sites[name].name: value for name, value in figures.items() if name in sites and value is not None}
