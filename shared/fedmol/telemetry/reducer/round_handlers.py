"""The rounds, the updates that reach the aggregator in them, and what a site's own log tells of them."""

from __future__ import annotations

from fedmol.formats import duration, fixed
from fedmol.telemetry.events.round_events import (
    LogAnchored,
    ModelValidated,
    RoundFinished,
    RoundModelReceived,
    RoundStarted,
    UpdateLate,
    UpdateNotCounted,
    UpdateReceived,
    UpdateRefused,
    UpdateSent,
)
from fedmol.telemetry.log import Event
from fedmol.telemetry.reducer.handling import handles, happened, number, report, site_of
from fedmol.telemetry.reducer.signs_of_life import alive, alive_then, concerns, heard, was_silent
from fedmol.telemetry.state import Round, Run, Update, by_site
from fedmol.telemetry.verdict import seconds_left

_GONE = ("lost", "failed", "refused", "removed")


@handles(RoundStarted)
def _round_started(run: Run, event: Event[RoundStarted], time: float) -> None:
    current = run.open_round(number(event), time)
    run.remove(current.number, time)
    if run.agreed:
        enter_round(run, current, time)


def enter_round(run: Run, current: Round, time: float) -> None:
    """What a site does in the new round it has yet to say: until then it is taken to fetch the model."""
    for site in run.sites.values():
        if site.state in _GONE:
            if site.state != "removed":
                current.enter(site.name, "lost", time)
        else:
            current.enter(site.name, "download" if heard(site, time) else "silent", time)


@handles(UpdateReceived)
def _update_received(run: Run, event: Event[UpdateReceived], time: float) -> None:
    said, site = event.body, alive(run, event, time)
    if site.round == event.round:
        site.steps_total += max(0, site.steps - site.step)  # the last steps fell between two signs of life
        site.step = site.steps
    site.uploaded(number(event), said.bytes)
    site.updates["received"] += 1
    site.norm = said.norm
    site.become("waiting", "for the others", time)
    run.progressed = time
    if (current := run.rounds.get(number(event))) is not None:
        current.enter(site.name, "idle", time)
        current.updates[site.name] = Update(said.bytes, said.norm, said.molecules)


@handles(UpdateRefused)
def _update_refused(run: Run, event: Event[UpdateRefused], time: float) -> None:
    said, site = event.body, alive_then(run, event, time)
    site.updates["refused"] += said.times
    if concerns(site, event, time):
        site.become("refused", said.reason, happened(time, said))
    report(run, event, time)


@handles(UpdateLate)
def _update_late(run: Run, event: Event[UpdateLate], time: float) -> None:
    site = alive_then(run, event, time)
    site.updates["late"] += event.body.times
    report(run, event, time)


@handles(UpdateNotCounted)
def _update_not_counted(run: Run, event: Event[UpdateNotCounted], time: float) -> None:
    site_of(run, event.site).updates["not-counted"] += 1
    report(run, event, time)


@handles(RoundFinished)
def _round_finished(run: Run, event: Event[RoundFinished], time: float) -> None:
    said = event.body
    round = run.rounds.get(number(event)) or run.open_round(number(event), time - (said.seconds or 0.0))
    round.seconds, round.seconds_outside_training = said.seconds, said.seconds_outside_training
    round.aggregator_cpu_seconds = said.aggregator_cpu_seconds
    round.loss, round.nll = said.loss, said.nll
    round.missing = sorted(run.sites[name].name for name in (*said.missing, *said.excluded) if name in run.sites)
    round.weights = by_site(said.weights, run.sites)
    round.site_loss, round.site_nll = by_site(said.site_loss, run.sites), by_site(said.site_nll, run.sites)
    for name, nll in round.site_nll.items():
        run.sites[name].nll = nll
    for site in run.sites.values():
        if was_silent(run, round, site, time):
            round.enter(site.name, "silent", max(site.seen or round.began, round.began))
    round.close(time)
    if run.bounds.news:  # what it takes to tell grows with the rounds that are kept
        run.say(_told(run, round))


def _told(run: Run, round: Round) -> str:
    absent = f", without {', '.join(round.missing)}" if round.missing else ""
    left = seconds_left(run, round.ended or round.began)
    return (
        f"round {round.number} of {run.rounds_target or 0}: loss {fixed(round.loss, 3)}, "
        f"NLL on entering {fixed(round.nll)}, {fixed(round.seconds, 1)} s{absent}"
        f"{f', about {duration(left)} left' if left else ''}"
    )


@handles(LogAnchored)
def _log_anchored(run: Run, event: Event[LogAnchored], time: float) -> None:
    run.anchored = max(run.anchored or 0, number(event))


@handles(RoundModelReceived)
def _round_model_received(run: Run, event: Event[RoundModelReceived], time: float) -> None:
    site = alive(run, event, time)
    site.received_bytes += event.body.bytes
    if (last := run.rounds.get(run.round)) is not None:
        last.close(time)
    run.open_round(number(event), time)


@handles(ModelValidated)
def _model_validated(run: Run, event: Event[ModelValidated], time: float) -> None:
    alive(run, event, time).nll = event.body.nll


@handles(UpdateSent)
def _update_sent(run: Run, event: Event[UpdateSent], time: float) -> None:
    alive(run, event, time).uploaded(number(event), event.body.bytes)
    for tensor in event.body.tensors:
        run.outbound.add_tensor(tensor.name, tuple(tensor.shape), tensor.bytes, event.round)
