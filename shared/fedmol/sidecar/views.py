"""What the HTTP interface answers with: typed, and true at the moment of asking."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from fedmol.telemetry.state import Phase, Role, Round, Run, RunState, Site, SiteState, UpdateOutcome
from fedmol.telemetry.verdict import run_state, seconds_left, site_state


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
    unreadable_line: int | None  # the first one
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
    missed_rounds: dict[str, int]
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
    changes: int  # of the settings, by the coordinator
    anchored_round: int | None  # a site's: the last round of which it keeps an anchor of the aggregator's log
    models_delivered: int  # sites that say they hold the final model
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
    has_model: bool  # the final one, as it says
    updates: dict[UpdateOutcome, int]


class TensorView(View):
    name: str
    shape: list[int]
    bytes: int
    times: int
    last_round: int | None


class MessageView(View):
    call: str
    holds: list[str]
    bytes: int
    times: int


class SitesView(View):
    sites: list[SiteView]
    left: list[TensorView]  # a site's own log tells what left it
    messages: list[MessageView]  # likewise


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
        has_model=site.has_model,
        updates=site.updates,
    )


def sites_view(run: Run, now: float) -> SitesView:
    return SitesView(
        sites=[site_view(run.sites[name], run, now) for name in sorted(run.sites)],
        left=[
            TensorView(name=t.name, shape=list(t.shape), bytes=t.bytes, times=t.times, last_round=t.last_round)
            for t in run.outbound.tensors.values()
        ],
        messages=[
            MessageView(call=m.call, holds=list(m.holds), bytes=m.bytes, times=m.times)
            for m in run.outbound.messages.values()
        ],
    )


def round_view(round: Round) -> RoundView:
    return RoundView(**_figures(round))


def round_detail(round: Round) -> RoundDetail:
    timeline = {
        name: [SpanView(phase=span.phase, began=span.began, ended=span.ended) for span in spans]
        for name, spans in sorted(round.spans.items())
    }
    return RoundDetail(**_figures(round), site_loss=round.site_loss, site_nll=round.site_nll, timeline=timeline)


def _figures(round: Round) -> dict[str, Any]:
    return {name: getattr(round, name) for name in RoundView.model_fields}


def status_view(run: Run, log: LogView, certificates: list[CertificateView], now: float) -> StatusView:
    state, detail = run_state(run, now)
    counts: dict[SiteState, int] = {}
    for site in run.sites.values():
        found, _ = site_state(site, run, now)
        counts[found] = counts.get(found, 0) + 1
    last = next((round for round in reversed(run.rounds.values()) if round.loss is not None), None)
    return StatusView(
        role=run.role,
        run=run.run,
        owner=run.owner,
        state=state,
        detail=log.problem or detail if run.role is None else detail,
        outcome=run.outcome,
        missing=run.missing,
        missed_rounds=run.missed_rounds,
        began=run.began,
        round=run.round,
        rounds_target=run.rounds_target,
        rounds_finished=run.rounds_finished,
        seconds_left=seconds_left(run, now) if state == "running" else None,
        loss=last.loss if last else None,
        nll=last.nll if last else None,
        quorum=run.quorum,
        parameters=run.parameters,
        model_bytes=run.model_bytes,
        changes=run.changes,
        anchored_round=run.anchored,
        models_delivered=sum(site.has_model for site in run.sites.values()),
        local_steps=run.local_steps,
        sites=counts,
        log=log,
        certificates=certificates,
        incidents=[
            IncidentView(time=i.time, what=i.what, site=i.site, round=i.round, detail=i.detail, times=i.times)
            for i in reversed(run.incidents.known)
        ],
    )
