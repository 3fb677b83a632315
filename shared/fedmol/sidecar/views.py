"""What the HTTP interface answers with: typed, and true at the moment of asking."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fedmol.formats import duration
from fedmol.sidecar.state import Outcome, Phase, Role, Round, Run, RunState, Site, SiteState

LATE_AFTER = 6.0  # seconds; a site in a run gives a sign of life every second, and every other one is logged
SILENT_AFTER = 15.0  # seconds in which nobody wrote anything
_ALIVE = ("reading", "waiting", "validating", "training", "sending", "connecting")


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(View):
    """An error, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Health(View):
    status: str


class Readiness(View):
    ready: bool
    reasons: list[str]


class LogView(View):
    events: int
    bytes: int
    bytes_read: int
    intact: bool
    broken_line: int | None  # the first line that does not follow from the one before, counted from 1
    unreadable_lines: int
    last_event: float | None  # seconds since 1970, like all times here
    problem: str | None


class CertificateView(View):
    name: str
    subject: str | None
    expires: float | None
    days_left: float | None
    problem: str | None


class IncidentView(View):
    time: float
    what: str
    site: str
    round: int | None
    detail: str
    times: int


class StatusView(View):
    role: Role | None
    run: str
    owner: str
    state: RunState
    detail: str
    outcome: str | None
    missing: list[str]
    began: float | None
    round: int
    rounds_target: int | None
    rounds_finished: int
    seconds_left: float | None
    loss: float | None
    nll: float | None
    quorum: int | None
    parameters: int | None
    model_bytes: int | None
    local_steps: int | None
    sites: dict[SiteState, int]
    log: LogView
    certificates: list[CertificateView]
    incidents: list[IncidentView]  # the newest first


class SiteView(View):
    name: str
    state: SiteState
    detail: str
    last_seen: float | None
    round: int | None
    step: int
    steps: int
    steps_total: int
    seconds_left: float | None
    loss: float | None
    nll: float | None
    molecules: int | None
    weight: float | None
    molecules_per_second: float | None
    sent_bytes: int
    received_bytes: int
    update_norm: float | None
    updates: dict[Outcome, int]


class TensorView(View):
    name: str
    shape: list[int]
    bytes: int
    times: int
    last_round: int | None


class SitesView(View):
    sites: list[SiteView]
    left: list[TensorView]  # a site's own log tells what left it


class RoundView(View):
    number: int
    began: float
    ended: float | None
    seconds: float | None
    seconds_outside_training: float | None
    loss: float | None
    nll: float | None
    missing: list[str]


class RoundsView(View):
    total: int
    rounds: list[RoundView]


class SpanView(View):
    phase: Phase
    began: float
    ended: float | None


class RoundDetail(RoundView):
    site_loss: dict[str, float]
    site_nll: dict[str, float]
    timeline: dict[str, list[SpanView]]  # empty for rounds that are long over


class MoleculeView(View):
    smiles: str
    novel: bool


class MoleculesView(View):
    measured: float | None  # when; None: there are no samples yet
    round: int | None  # whose model made them; None: the finished run's
    samples: int
    validity: float | None
    uniqueness: float | None
    novelty: float | None
    molecules: list[MoleculeView]
    problem: str | None


def site_state(site: Site, run: Run, now: float) -> tuple[SiteState, str]:
    """The site's state, and a word on it: a site that has fallen silent is not said to train."""
    if site.state not in _ALIVE:
        return site.state, site.detail
    if run.stopped is not None:
        return "unknown", f"the {run.role} has stopped; last seen {site.state}"
    if site.seen is None:
        return site.state, site.detail or "has not come yet"
    silence = now - site.seen
    if silence > _patience(site, run):
        return "late", f"silent for {duration(silence)}; last seen {site.state}"
    return site.state, site.detail


def _patience(site: Site, run: Run) -> float:
    """How long a site may be silent. Its own log only speaks while it trains, once per step or every other second."""
    if run.role == "aggregator":
        return LATE_AFTER
    return max(LATE_AFTER, 4 * site.gap) if site.state == "training" else float("inf")


def run_state(run: Run, now: float) -> tuple[RunState, str]:
    """What the run is doing, and a sentence on it."""
    if run.role is None or run.last_event is None:
        return "waiting-for-log", "There is no event in the log yet."
    if run.stopped is not None:
        return "stopped", f"The {run.role} stopped: {run.stopped}."
    if run.outcome is not None:
        return "finished", _finished(run)
    silence = now - run.last_event
    if silence > SILENT_AFTER:
        return "silent", f"Nothing has been written for {duration(silence)}: {_why_silent(run)}."
    if run.role == "aggregator" and not run.agreed:
        here = sum(site.molecules is not None for site in run.sites.values())
        return "gathering", f"{here} of {len(run.sites)} sites have brought their counts."
    return "running", f"Round {run.round} of {run.rounds_target}." if run.rounds_target else f"Round {run.round}."


def _why_silent(run: Run) -> str:
    if run.role == "aggregator":
        return "the aggregator is dead or no site reaches it"
    site = run.sites.get(run.owner)
    return "the site is dead or stuck" if site and site.state == "training" else "the site waits, or is dead"


def _finished(run: Run) -> str:
    if run.missing:
        return f"With the quorum; missing at the end: {', '.join(run.missing)}."
    return "Every site took part in the last round." if run.role == "aggregator" else "The site did its part."


def seconds_left(run: Run, now: float) -> float | None:
    """At the mean pace of the last five rounds; None before one has ended, or when the run is not going on."""
    paces = [one.seconds for one in run.rounds.values() if one.seconds is not None][-5:]
    if not paces or not run.open or run.rounds_target is None:
        return None
    current = run.rounds.get(run.round)
    begun = now - current.began if current and current.ended is None else 0.0
    pace = sum(paces) / len(paces)
    left = run.rounds_target - len(run.finished_rounds)
    return max(0.0, pace * left - min(begun, pace))


def site_view(site: Site, run: Run, now: float) -> SiteView:
    state, detail = site_state(site, run, now)
    return SiteView(
        name=site.name,
        state=state,
        detail=detail,
        last_seen=site.seen,
        round=site.round,
        step=site.step,
        steps=site.steps,
        steps_total=site.steps_total,
        seconds_left=site.seconds_left if state == "training" else None,
        loss=site.loss,
        nll=site.nll,
        molecules=site.molecules,
        weight=site.weight,
        molecules_per_second=site.molecules_per_second if state == "training" else None,
        sent_bytes=site.sent_bytes,
        received_bytes=site.received_bytes,
        update_norm=site.norm,
        updates=site.updates,
    )


def sites_view(run: Run, now: float) -> SitesView:
    return SitesView(
        sites=[site_view(run.sites[name], run, now) for name in sorted(run.sites)],
        left=[
            TensorView(name=t.name, shape=list(t.shape), bytes=t.bytes, times=t.times, last_round=t.last_round)
            for t in run.tensors.values()
        ],
    )


def round_view(one: Round) -> RoundView:
    return RoundView(**_figures(one))


def round_detail(one: Round) -> RoundDetail:
    timeline = {
        name: [SpanView(phase=span.phase, began=span.began, ended=span.ended) for span in spans]
        for name, spans in sorted(one.spans.items())
    }
    return RoundDetail(**_figures(one), site_loss=one.site_loss, site_nll=one.site_nll, timeline=timeline)


def _figures(one: Round) -> dict[str, object]:
    return {name: getattr(one, name) for name in RoundView.model_fields}


def status_view(run: Run, log: LogView, certificates: list[CertificateView], now: float) -> StatusView:
    state, detail = run_state(run, now)
    counts: dict[SiteState, int] = {}
    for site in run.sites.values():
        found, _ = site_state(site, run, now)
        counts[found] = counts.get(found, 0) + 1
    last = next((one for one in reversed(run.rounds.values()) if one.loss is not None), None)
    return StatusView(
        role=run.role,
        run=run.run,
        owner=run.owner,
        state=state,
        detail=log.problem or detail if run.role is None else detail,
        outcome=run.outcome,
        missing=run.missing,
        began=run.began,
        round=run.round,
        rounds_target=run.rounds_target,
        rounds_finished=len(run.finished_rounds),
        seconds_left=seconds_left(run, now) if state == "running" else None,
        loss=last.loss if last else None,
        nll=last.nll if last else None,
        quorum=run.quorum,
        parameters=run.parameters,
        model_bytes=run.model_bytes,
        local_steps=run.local_steps,
        sites=counts,
        log=log,
        certificates=certificates,
        incidents=[
            IncidentView(time=i.time, what=i.what, site=i.site, round=i.round, detail=i.detail, times=i.times)
            for i in reversed(run.incidents)
        ],
    )
