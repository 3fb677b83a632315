"""The one reducer: each event of a log moves what is known of the run a little on.

Whatever a log holds, nothing here raises: kinds of a later version are passed over, events that are not what their kind
is are counted, and what is known keeps within bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fedmol.errors import Exit
from fedmol.telemetry import events
from fedmol.telemetry.events import Misfit, moment, told
from fedmol.telemetry.log import Event
from fedmol.telemetry.state import LATE_AFTER, Incident, Phase, Round, Run, Site, SiteState, by_site

# Bounded: they become a label.
EXITS = (*(exit.slug for exit in Exit if exit), "other")
REFUSALS = (*EXITS, "tls-handshake")

_STATES: dict[str, SiteState] = {
    "connecting": "connecting",
    "reading shard": "reading",
    "waiting for the others": "waiting",
    "catching up": "receiving",
    "receiving model": "receiving",
    "validating": "validating",
    "training": "training",
    "sending": "sending",
    "finished": "finished",
    "failed": "failed",
    "stopped": "stopped",
}
_ENDED = ("failed", "stopped", "finished")
_GONE = ("lost", "failed", "refused", "removed")
_PHASES: dict[SiteState, Phase] = {
    "receiving": "download",
    "validating": "validate",
    "training": "train",
    "sending": "upload",
}

Handler = Callable[[Run, Event, float, Any], None]


class Surplus(Exception):
    """The event is about more sites than a run can have."""


def apply(run: Run, event: Event) -> None:
    """Take up one event."""
    time = datetime.fromisoformat(event.time).timestamp()
    run.last_event = time
    if run.began is None:
        run.run, run.owner, run.began = event.run, event.site, time
        run.role = "aggregator" if event.kind == "run_started" else "site"
    try:
        said = told(event.kind, event.round, event.fields)
        handler = _HANDLERS.get(event.kind)
        if said is not None and handler is not None:
            handler(run, event, time, said)
    except (Misfit, Surplus):
        run.misread += 1
        run.misread_line = run.misread_line or event.seq + 1


def _site(run: Run, name: str) -> Site:
    if name not in run.sites and len(run.sites) >= events.MOST_SITES:
        raise Surplus
    return run.site(name)


def _run_started(run: Run, event: Event, time: float, said: events.RunStarted) -> None:
    again = run.rounds_target is not None
    run.rounds_target, run.quorum = said.rounds, said.quorum
    run.parameters, run.model_bytes = said.parameters, said.model_bytes
    for name in said.sites:
        _site(run, name)
    if again and run.outcome is not None:
        run.stopped = run.stopped_with = None
        run.report(Incident(time, "aggregator started again", event.site, None, "the finished run is served again"))
    elif again:
        run.reopen(time)
        for site in run.sites.values():
            if site.state != "removed":
                site.become("connecting", "not heard of since the aggregator was started again", time)
        run.report(Incident(time, "aggregator started again", event.site, None, "the run went on where it was"))


def _site_joined(run: Run, event: Event, time: float, said: events.SiteJoined) -> None:
    site = _alive(run, event, time)
    site.become("waiting", "for the others", time)
    site.molecules = said.molecules


def _agreement(run: Run, event: Event, time: float, said: events.Agreement) -> None:
    first = not run.agreed
    run.agreed, run.local_steps, run.progressed = True, said.local_steps, time
    for name, molecules in said.molecules.items():
        _site(run, name).molecules = molecules
    for name, weight in said.weights.items():
        _site(run, name).weight = weight
    current = run.rounds.get(run.round)
    if first and current is not None:  # the first round's clock starts when everyone is here
        current.began = time
        _open(run, current, time)


def _round_started(run: Run, event: Event, time: float, said: events.RoundStarted) -> None:
    current = run.open_round(_number(event), time)
    _remove(run, current.number, time)
    if run.agreed:
        _open(run, current, time)


def _open(run: Run, current: Round, time: float) -> None:
    """What a site does in the new round it has yet to say: until then it is taken to fetch the model."""
    for site in run.sites.values():
        if site.state in _GONE:
            if site.state != "removed":
                current.enter(site.name, "lost", time)
        else:
            current.enter(site.name, "download" if _heard(site, time) else "silent", time)


def _site_progress(run: Run, event: Event, time: float, said: events.Training) -> None:
    site = _alive(run, event, time)
    state = _STATES.get(event.phase or "", "unknown")
    if site.state == "removed" or (state == "failed" and site.state == "refused"):
        return  # it failed because it was refused: the reason says more
    current = run.rounds.get(event.round) if event.round is not None else None
    if state == "sending" and current is not None and _phase(current, site) == "idle":
        state = "waiting"  # its update is here: what it still calls sending is waiting for the next round
    detail = "for the others" if state == "waiting" else "" if state != "unknown" else str(event.phase)
    site.become(state, detail, time)
    if event.round not in (None, site.round):
        site.round, site.step = event.round, 0
    if state == "training" and _count_steps(site, said):
        run.progressed = time
    if current is not None and state in _PHASES:
        current.enter(site.name, _PHASES[state], time)


def _count_steps(site: Site, said: events.Training) -> bool:
    """Whether there are new ones."""
    new = max(0, said.step - site.step)
    site.steps_total += new
    site.step, site.steps = said.step, said.steps
    site.loss = site.loss if said.loss is None else said.loss
    if said.molecules_per_second is not None:  # as it was last told
        site.molecules_per_second = said.molecules_per_second
    site.seconds_left = said.seconds_left
    return new > 0


def _update_received(run: Run, event: Event, time: float, said: events.UpdateReceived) -> None:
    site = _alive(run, event, time)
    if site.round == event.round:
        site.steps_total += max(0, site.steps - site.step)  # the last steps fell between two signs of life
        site.step = site.steps
    site.sent_bytes += said.bytes
    site.updates["received"] += 1
    site.norm = said.norm
    site.become("waiting", "for the others", time)
    run.progressed = time
    if (current := run.rounds.get(_number(event))) is not None:
        current.enter(site.name, "idle", time)


def _update_refused(run: Run, event: Event, time: float, said: events.UpdateRefused) -> None:
    happened = _happened(time, said)
    site = _alive_then(run, event, happened)
    site.updates["refused"] += said.times
    if _concerns(site, said, happened):
        site.become("refused", said.reason, happened)
    run.report(Incident(happened, "update refused", site.name, event.round, said.reason, said.times))


def _update_late(run: Run, event: Event, time: float, said: events.UpdateLate) -> None:
    happened = _happened(time, said)
    site = _alive_then(run, event, happened)
    site.updates["late"] += said.times
    run.report(Incident(happened, "update came too late", site.name, event.round, "it was not counted", said.times))


def _update_not_counted(run: Run, event: Event, time: float, said: events.UpdateNotCounted) -> None:
    """Both logs tell it: the aggregator's with the numbers, the site's with the reason."""
    why = said.reason or ""
    if said.norm is not None and said.limit is not None:
        why = f"it moved the {said.section} by {said.norm:.4g}, the limit was {said.limit:.4g}"
    _site(run, event.site).updates["not-counted"] += 1
    run.report(Incident(time, "update did not count", event.site, event.round, why))


def _state_damaged(run: Run, event: Event, time: float, said: events.StateDamaged) -> None:
    what = f"{said.file}: {said.detail}"
    run.report(Incident(time, "damaged file", _about(run, event), event.round, what))


def _state_rebuilt(run: Run, event: Event, time: float, said: events.StateRebuilt) -> None:
    run.report(Incident(time, "file made again", _about(run, event), event.round, said.file))


def _about(run: Run, event: Event) -> str:
    return event.site if event.site in run.sites else ""


def _site_lost(run: Run, event: Event, time: float, said: events.SiteLost) -> None:
    site, silent = _site(run, event.site), said.silent_seconds or 0.0
    if site.state not in ("failed", "refused", "removed"):
        site.become("lost", f"silent for {silent:.0f} s, then given up", time)
    if (current := run.rounds.get(run.round)) is not None and current.ended is None:
        current.enter(site.name, "lost", time - silent)  # it has been gone since then
    run.report(Incident(time, "site lost", site.name, run.round or None, site.detail))


def _site_returned(run: Run, event: Event, time: float, said: events.Nothing) -> None:
    site = _alive(run, event, time)
    if site.state != "removed":
        site.become("connecting", "back again", time)
    run.report(Incident(time, "site back", site.name, run.round or None, ""))


def _site_hung(run: Run, event: Event, time: float, said: events.SiteHung) -> None:
    site = _site(run, event.site)
    if site.state != "removed":
        site.become("hung", said.detail or "its work makes no progress", time)
    if (current := run.rounds.get(run.round)) is not None:
        current.enter(site.name, "silent", time)
    run.report(Incident(time, "site hung", site.name, event.round or run.round or None, said.detail))


def _site_refused(run: Run, event: Event, time: float, said: events.SiteRefused) -> None:
    known = said.reason if said.reason in REFUSALS else "other"
    run.refusals[known] = run.refusals.get(known, 0) + said.times
    site, happened = run.sites.get(event.site), _happened(time, said)
    if site is not None and _concerns(site, said, happened):
        site.become("refused", f"{said.reason}: {said.detail}", happened)
    who = "" if event.site == run.owner else event.site
    run.report(Incident(happened, "peer refused", who, event.round, f"{said.reason}: {said.detail}", said.times))


def _round_finished(run: Run, event: Event, time: float, said: events.RoundFinished) -> None:
    one = run.rounds.get(_number(event)) or run.open_round(_number(event), time - (said.seconds or 0.0))
    one.seconds, one.seconds_outside_training = said.seconds, said.seconds_outside_training
    one.loss, one.nll = said.loss, said.nll
    one.missing = [run.sites[name].name for name in (*said.missing, *said.excluded) if name in run.sites]
    one.site_loss, one.site_nll = by_site(said.site_loss, run.sites), by_site(said.site_nll, run.sites)
    for name, nll in one.site_nll.items():
        if name in run.sites:
            run.sites[name].nll = nll
    for site in run.sites.values():
        if _was_silent(run, one, site, time):
            one.enter(site.name, "silent", max(site.seen or one.began, one.began))
    one.close(time)


def _settings_changed(run: Run, event: Event, time: float, said: events.SettingsChanged) -> None:
    changes = said.changes
    if run.role == "aggregator":  # a site's own log tells of that site alone
        for name in changes.add:
            site = _site(run, name)
            site.become("connecting", f"added from round {event.round} on", time)
            run.leaving.pop(name, None)
        for name in changes.remove:
            run.leaving[_site(run, name).name] = event.round or 0
    elif run.owner in changes.remove:
        run.leaving[run.owner] = event.round or 0
    _remove(run, run.round, time)
    run.rounds_target = run.rounds_target if changes.rounds is None else changes.rounds
    run.quorum = run.quorum if changes.quorum is None else changes.quorum
    run.changes = max(run.changes, said.number)
    run.report(Incident(time, "settings changed", "", event.round, f"change {said.number}: {described(changes)}"))


def described(changes: events.Changed) -> str:
    """What a change says, for people."""
    return ", ".join(f"{key} {_shown(value)}" for key, value in changes.model_dump(exclude_defaults=True).items())


def _remove(run: Run, round: int, time: float) -> None:
    """Who is to leave by `round` has left."""
    for name, first in list(run.leaving.items()):
        if first <= round and (site := run.sites.get(name)) is not None:
            site.become("removed", f"by the coordinator, from round {first} on", time)
            site.seconds_left = None
            del run.leaving[name]


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else f"{value}"


def _change_refused(run: Run, event: Event, time: float, said: events.ChangeRefused) -> None:
    run.report(Incident(time, "change refused", "", event.round, f"{said.file}: {said.detail}"))


def _clock_stopped(run: Run, event: Event, time: float, said: events.ClockStopped) -> None:
    what = "the process did not run" if said.seconds is None else f"the process did not run for {said.seconds:.0f} s"
    run.report(Incident(time, "clock stopped", _about(run, event), event.round, what))


def _model_delivered(run: Run, event: Event, time: float, said: events.ModelDelivered) -> None:
    site = _alive(run, event, time)
    site.has_model = True
    if site.state != "removed":
        site.become("finished", "holds the final model", time)


def _model_received(run: Run, event: Event, time: float, said: events.ModelReceived) -> None:
    site = _alive(run, event, time)
    site.has_model, site.received_bytes = True, site.received_bytes + said.bytes


def _phase_entered(run: Run, event: Event, time: float, said: events.Nothing) -> None:
    """A site's own log: like the progress that the aggregator hears of."""
    if not run.open and _STATES.get(event.phase or "") not in _ENDED:
        run.reopen(time)
        run.report(Incident(time, "site started again", event.site, run.round or None, "it went on where it was"))
    if event.phase == "sending" and event.round is not None and (current := run.rounds.get(event.round)) is not None:
        current.enter(event.site, "exchange", time)  # this log does not tell sending, waiting and receiving apart
        site = _alive(run, event, time)
        site.become("sending", site.detail, time)
    else:
        _site_progress(run, event, time, events.Training())


def _log_anchored(run: Run, event: Event, time: float, said: events.LogAnchored) -> None:
    run.anchored = max(run.anchored or 0, _number(event))


def _received(run: Run, event: Event, time: float, said: events.Bytes) -> None:
    site = _alive(run, event, time)
    site.received_bytes += said.bytes
    if (last := run.rounds.get(run.round)) is not None:
        last.close(time)
    run.open_round(_number(event), time)


def _validated(run: Run, event: Event, time: float, said: events.Validated) -> None:
    _alive(run, event, time).nll = said.nll


def _training_step(run: Run, event: Event, time: float, said: events.Training) -> None:
    _site_progress(run, event, time, said)
    if (current := run.rounds.get(_number(event))) is not None and said.loss is not None:
        current.tell_loss(said.loss)


def _sent(run: Run, event: Event, time: float, said: events.Sent) -> None:
    _alive(run, event, time).sent_bytes += said.bytes
    for tensor in said.tensors:
        run.left(tensor.name, tuple(tensor.shape), tensor.bytes, event.round)


def _message_sent(run: Run, event: Event, time: float, said: events.MessageSent) -> None:
    run.sent(said.call, said.holds, said.bytes, said.times)


def _run_finished(run: Run, event: Event, time: float, said: events.RunFinished) -> None:
    run.outcome, run.missing, run.missed_rounds = said.outcome, said.missing, said.missed_rounds
    for site in run.sites.values():
        if site.name not in run.missing and site.state != "removed":
            site.become("finished", "", time)
            site.seconds_left = None
    if (current := run.rounds.get(run.round)) is not None and current.ended is None:
        current.close(time)


def _run_stopped(run: Run, event: Event, time: float, said: events.RunStopped) -> None:
    run.stopped, run.stopped_with = said.detail or said.reason, said.reason
    if run.role == "site":
        site = _site(run, event.site)
        site.become("stopped" if said.reason == Exit.TERMINATED.slug else "failed", run.stopped, time)
    if (current := run.rounds.get(run.round)) is not None:
        current.close(time)
    run.report(Incident(time, f"{run.role} stopped", event.site, run.round or None, f"{said.reason}: {said.detail}"))


def _alive(run: Run, event: Event, time: float) -> Site:
    """The site of the event, which has given a sign of life. Was it silent for long before, its round shows that."""
    site = _site(run, event.site)
    if site.seen is not None:
        site.gap = time - site.seen
        current = run.rounds.get(run.round)
        if current is not None and _was_silent(run, current, site, time):
            current.enter(site.name, "silent", max(site.seen, current.began))
    site.seen = time
    return site


def _happened(time: float, said: events.Repeated) -> float:
    """When what the event tells of happened last; it was written at `time`."""
    return time if said.last is None else min(time, moment(said.last).timestamp())


def _concerns(site: Site, said: events.Repeated, happened: float) -> bool:
    """Whether it still says what the site does: what is written afterwards may have been overtaken."""
    return site.state != "removed" and (said.last is None or happened >= site.since)


def _alive_then(run: Run, event: Event, happened: float) -> Site:
    """The site of the event, which tells of a sign of life that may not be its last one."""
    site = _site(run, event.site)
    return site if site.seen is not None and happened < site.seen else _alive(run, event, happened)


def _was_silent(run: Run, current: Round, site: Site, time: float) -> bool:
    """Whether the site, which is said to do something in the round, has not been heard of for long."""
    busy = _phase(current, site) not in ("idle", "lost", "silent", None)
    return run.role == "aggregator" and busy and not _heard(site, time)


def _heard(site: Site, time: float) -> bool:
    """Whether the site has been heard of lately."""
    return site.seen is not None and time - site.seen <= LATE_AFTER


def _phase(current: Round, site: Site) -> Phase | None:
    spans = current.spans.get(site.name)
    return spans[-1].phase if spans else None


def _number(event: Event) -> int:
    assert event.round is not None  # see events.OF_A_ROUND
    return event.round


_HANDLERS: dict[str, Handler] = {
    "run_started": _run_started,
    "site_joined": _site_joined,
    "agreement": _agreement,
    "round_started": _round_started,
    "site_progress": _site_progress,
    "update_received": _update_received,
    "update_refused": _update_refused,
    "update_late": _update_late,
    "update_not_counted": _update_not_counted,
    "state_damaged": _state_damaged,
    "state_rebuilt": _state_rebuilt,
    "site_lost": _site_lost,
    "site_returned": _site_returned,
    "site_hung": _site_hung,
    "site_refused": _site_refused,
    "round_finished": _round_finished,
    "settings_changed": _settings_changed,
    "change_refused": _change_refused,
    "clock_stopped": _clock_stopped,
    "model_delivered": _model_delivered,
    "model_received": _model_received,
    "run_finished": _run_finished,
    "run_stopped": _run_stopped,
    "phase": _phase_entered,
    "log_anchored": _log_anchored,
    "received": _received,
    "validated": _validated,
    "training_step": _training_step,
    "sent": _sent,
    "message_sent": _message_sent,
}
