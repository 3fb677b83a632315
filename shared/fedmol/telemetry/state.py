"""What is known of a run as far as its event log has been read.

Its size has bounds, whatever the log's is, unless the whole run is asked for: then every round and every incident is
kept.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, get_args

from fedmol.errors import Exit
from fedmol.telemetry.incidents import Incident, Incidents
from fedmol.telemetry.outbound_totals import OutboundTotals

SiteState = Literal[
    "connecting", "reading", "waiting", "receiving", "validating", "training", "sending", "late", "hung", "lost",
    "refused", "failed", "stopped", "removed", "finished", "unknown",
]  # fmt: skip
RunState = Literal["waiting-for-log", "gathering", "running", "silent", "finished", "stopped"]
Phase = Literal["download", "validate", "train", "upload", "idle", "exchange", "silent", "lost"]
Role = Literal["aggregator", "site"]
UpdateOutcome = Literal["received", "refused", "late", "not-counted"]
SITE_STATES: tuple[SiteState, ...] = get_args(SiteState)
RUN_STATES: tuple[RunState, ...] = get_args(RunState)
OUTCOMES: tuple[UpdateOutcome, ...] = get_args(UpdateOutcome)

EXITS = (*(exit.slug for exit in Exit if exit), "other")  # bounded: they become a label
REFUSALS = (*EXITS, "tls-handshake")

LATE_AFTER = 12.0  # seconds; a site in a run gives a sign of life every second, and one in eight at least is logged
ROUND_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)  # the edges of the rounds' histogram
DETAILED_ROUNDS = 30  # the newest ones, whose timelines are kept
_SPANS, _SPANS_EACH = 2000, 6  # of a round, and more for each site
_MISFITS = 20  # events that are not what their kind is, of which is told what is wrong


@dataclass(frozen=True)
class Bounds:
    """How much of a run is kept."""

    rounds: int
    figures: int  # of sites in rounds
    details: int  # rounds, the newest ones, of which is kept what each site's update was
    incidents: int
    news: int  # lines for people that nobody has taken yet


NEWEST = Bounds(rounds=2000, figures=60_000, details=DETAILED_ROUNDS, incidents=50, news=100)
WHOLE = Bounds(rounds=sys.maxsize, figures=sys.maxsize, details=sys.maxsize, incidents=sys.maxsize, news=0)


@dataclass(slots=True)
class Span:
    """One phase of a site in a round, in seconds since 1970; `ended` is None while it lasts."""

    phase: Phase
    began: float
    ended: float | None = None


@dataclass(slots=True)
class Update:
    """What reached the aggregator."""

    bytes: int
    norm: float | None
    molecules: int


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
    joined: bool = False
    counts: int | None = None  # numbers in the histograms that it told when it joined
    molecules: int | None = None
    weight: float | None = None
    molecules_per_second: float | None = None
    seconds_left: float | None = None  # of the round's training
    uploads: int = 0
    upload_round: int | None = None  # of the last one
    upload_rounds: int = 0  # in which there was one at least
    sent_bytes: int = 0
    received_bytes: int = 0
    has_model: bool = False  # the final one, as it says
    updates: dict[UpdateOutcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))

    def become(self, state: SiteState, detail: str, time: float) -> None:
        self.state, self.detail, self.since = state, detail, time

    def uploaded(self, round: int, bytes: int) -> None:
        self.uploads, self.sent_bytes = self.uploads + 1, self.sent_bytes + bytes
        self.upload_rounds += round != self.upload_round
        self.upload_round = round


@dataclass(slots=True)
class Round:
    number: int
    began: float
    ended: float | None = None
    seconds: float | None = None
    seconds_outside_training: float | None = None
    aggregator_cpu_seconds: float | None = None
    loss: float | None = None
    losses_told: int = 0  # that a site's own log has the mean of
    nll: float | None = None  # of the model that entered it
    missing: list[str] = field(default_factory=list)  # sites whose updates did not count
    weights: dict[str, float] = field(default_factory=dict)  # of those whose did, as long as details are kept
    updates: dict[str, Update] = field(default_factory=dict)  # by site, likewise
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

    def take(self, round: Round) -> None:
        if round.ended is not None:
            self.rounds += 1
        if round.seconds is not None:
            self.by_seconds[bisect_left(ROUND_SECONDS, round.seconds)] += 1
            self.seconds += round.seconds


@dataclass
class Run:
    """An aggregator's log tells of all sites; a site's log of that site alone."""

    bounds: Bounds = NEWEST
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
    finished: float | None = None  # when
    model_digest: str | None = None  # of the final model
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
    outbound: OutboundTotals = field(default_factory=OutboundTotals)  # of a site, by its own log
    refusals: dict[str, int] = field(default_factory=dict)  # by reason
    incidents: Incidents = field(init=False)
    news: deque[str] = field(init=False)  # the reader takes them away
    misread: int = 0  # events whose fields were not what their kind has
    misread_line: int | None = None  # of the log, the first one
    misfits: list[str] = field(default_factory=list)  # what is wrong with the first ones

    def __post_init__(self) -> None:
        self.incidents = Incidents(self.bounds.incidents)
        self.news = deque(maxlen=self.bounds.news)

    @property
    def open(self) -> bool:
        return self.outcome is None and self.stopped is None

    @property
    def finished_rounds(self) -> list[Round]:
        return [round for round in self.rounds.values() if round.ended is not None]

    @property
    def rounds_finished(self) -> int:
        return self.past.rounds + len(self.finished_rounds)

    def reopen(self, time: float) -> None:
        """A party that had ended goes on; its next step is waited for from now."""
        self.outcome = self.finished = self.stopped = self.stopped_with = None
        self.progressed = time

    def site(self, name: str) -> Site:
        return self.sites.setdefault(name, Site(name))

    def remove(self, round: int, time: float) -> None:
        """Who is to leave by `round` has left."""
        for name, first in list(self.leaving.items()):
            if first <= round and (site := self.sites.get(name)) is not None:
                site.become("removed", f"by the coordinator, from round {first} on", time)
                site.seconds_left = None
                del self.leaving[name]

    def open_round(self, number: int, time: float) -> Round:
        """A fresh account of the round; a round that is played again replaces its first account.

        Only the updates stay: the aggregator takes up again what had reached it.
        """
        before, self.round = self.rounds.pop(number, None), number
        self.rounds[number] = Round(number, time, updates={} if before is None else before.updates)
        for old in islice(reversed(self.rounds.values()), DETAILED_ROUNDS, DETAILED_ROUNDS + 2):
            old.spans = {}
            if self.bounds.details <= DETAILED_ROUNDS:
                old.weights, old.updates = {}, {}
        most = max(DETAILED_ROUNDS, min(self.bounds.rounds, self.bounds.figures // max(1, len(self.sites))))
        while len(self.rounds) > most:
            self.past.take(self.rounds.pop(next(iter(self.rounds))))
        return self.rounds[number]

    def say(self, line: str) -> None:
        """Something that people are told as it happens."""
        self.news.append(line)

    def misfit(self, line: int, what: str) -> None:
        """An event that is not what its kind is."""
        self.misread, self.misread_line = self.misread + 1, self.misread_line or line
        if len(self.misfits) < _MISFITS:
            self.misfits.append(f"line {line}: {what}")

    def report(self, incident: Incident) -> None:
        """Something did not go as planned."""
        self.say(str(incident))
        self.incidents.take(incident, self.last_event)


def by_site(figures: Mapping[str, float | None], sites: Mapping[str, Site]) -> dict[str, float]:
    """The figures that there are of known sites. Thousands of rounds share one copy of each name."""
    return {sites[name].name: value for name, value in figures.items() if name in sites and value is not None}
