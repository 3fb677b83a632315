"""The fold: each event of the log moves what is known of the run a little on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fedmol.errors import Exit
from fedmol.events import Event
from fedmol.sidecar.state import Incident, Phase, Round, Run, Site, SiteState, by_site

# Bounded: they become a label.
EXITS = (*(exit.slug for exit in Exit if exit), "other")
REFUSALS = (*EXITS, "tls-handshake")

_STATES: dict[str, SiteState] = {
    "connecting": "connecting",
    "reading shard": "reading",
    "waiting for the others": "waiting",
    "validating": "validating",
    "training": "training",
    "sending": "sending",
    "finished": "finished",
    "failed": "failed",
    "stopped": "stopped",
}
_ENDED = ("failed", "stopped", "finished")
_PHASES: dict[SiteState, Phase] = {"validating": "validate", "training": "train", "sending": "upload"}

Handler = Callable[[Run, Event, float], None]


def apply(run: Run, event: Event) -> None:
    """Take up one event. Kinds that say nothing here are passed over, misshapen ones are counted."""
    handler = _HANDLERS.get(event.kind)
    try:
        time = datetime.fromisoformat(event.time).timestamp()
        run.last_event = time
        if run.began is None:
            run.run, run.owner, run.began = event.run, event.site, time
            run.role = "aggregator" if event.kind == "run_started" else "site"
        if handler is not None:
            handler(run, event, time)
    except (KeyError, TypeError, ValueError, AttributeError):
        run.misread += 1


def _run_started(run: Run, event: Event, time: float) -> None:
    said = event.fields
    again = run.rounds_target is not None
    run.rounds_target, run.quorum = int(said["rounds"]), int(said["quorum"])
    run.parameters, run.model_bytes = int(said["parameters"]), int(said["model_bytes"])
    for name in said["sites"]:
        run.site(name)
    if again:
        run.reopen(time)
        for site in run.sites.values():
            site.state, site.detail = "connecting", "not heard of since the aggregator was started again"
        run.report(Incident(time, "aggregator started again", event.site, None, "the run went on where it was"))


def _site_joined(run: Run, event: Event, time: float) -> None:
    site = _alive(run, event, time)
    site.state, site.detail, site.molecules = "waiting", "for the others", int(event.fields["molecules"])


def _agreement(run: Run, event: Event, time: float) -> None:
    run.agreed, run.local_steps, run.progressed = True, int(event.fields["local_steps"]), time
    for name, molecules in event.fields["molecules"].items():
        run.site(name).molecules = int(molecules)
    for name, weight in event.fields["weights"].items():
        run.site(name).weight = float(weight)
    current = run.rounds.get(run.round)
    if current is not None:  # the first round's clock starts when everyone is here
        current.began = time
        _all_download(run, current, time)


def _round_started(run: Run, event: Event, time: float) -> None:
    current = run.open_round(_number(event), time)
    if run.agreed:
        _all_download(run, current, time)


def _all_download(run: Run, current: Round, time: float) -> None:
    for site in run.sites.values():
        current.enter(site.name, "lost" if site.state in ("lost", "failed", "refused") else "download", time)


def _site_progress(run: Run, event: Event, time: float) -> None:
    site = _alive(run, event, time)
    state = _STATES.get(event.phase or "", "unknown")
    if state == "failed" and site.state == "refused":
        return  # it failed because it was refused: the reason says more
    current = run.rounds.get(event.round) if event.round is not None else None
    if state == "sending" and current is not None and _phase(current, site) == "idle":
        state = "waiting"  # its update is here: what it still calls sending is waiting for the next round
    site.state = state
    site.detail = "for the others" if state == "waiting" else "" if state != "unknown" else str(event.phase)
    if event.round not in (None, site.round):
        site.round, site.step = event.round, 0
    if state == "training" and _count_steps(site, event):
        run.progressed = time
    if current is not None and state in _PHASES:
        current.enter(site.name, _PHASES[state], time)


def _count_steps(site: Site, event: Event) -> bool:
    """Whether there are new ones."""
    said = event.fields
    step = int(said.get("step", 0))
    new = max(0, step - site.step)
    site.steps_total += new
    site.step, site.steps = step, int(said.get("steps", 0))
    site.loss = said.get("loss", site.loss)
    site.molecules_per_second = said.get("molecules_per_second", site.molecules_per_second)  # as it was last told
    site.seconds_left = said.get("seconds_left")
    return new > 0


def _update_received(run: Run, event: Event, time: float) -> None:
    site, said = _alive(run, event, time), event.fields
    if site.round == event.round:
        site.steps_total += max(0, site.steps - site.step)  # the last steps fell between two signs of life
        site.step = site.steps
    site.sent_bytes += int(said["bytes"])
    site.updates["received"] += 1
    site.norm, site.state, site.detail = float(said["norm"]), "waiting", "for the others"
    run.progressed = time
    if (current := run.rounds.get(_number(event))) is not None:
        current.enter(site.name, "idle", time)


def _update_refused(run: Run, event: Event, time: float) -> None:
    site = _alive(run, event, time)
    site.updates["refused"] += _times(event)
    site.state, site.detail = "refused", str(event.fields["reason"])
    run.report(Incident(time, "update refused", site.name, event.round, site.detail))


def _update_late(run: Run, event: Event, time: float) -> None:
    site = _alive(run, event, time)
    site.updates["late"] += _times(event)
    run.report(Incident(time, "update came too late", site.name, event.round, "it was not counted"))


def _update_not_counted(run: Run, event: Event, time: float) -> None:
    """Both logs tell it: the aggregator's with the numbers, the site's with the reason."""
    said = event.fields
    why = said.get("reason") or f"it moved the model by {said['norm']:.4g}, the limit was {said['limit']:.4g}"
    run.site(event.site).updates["not-counted"] += 1
    run.report(Incident(time, "update did not count", event.site, event.round, str(why)))


def _state_damaged(run: Run, event: Event, time: float) -> None:
    what = f"{event.fields['file']}: {event.fields['detail']}"
    run.report(Incident(time, "damaged file", _about(run, event), event.round, what))


def _state_rebuilt(run: Run, event: Event, time: float) -> None:
    run.report(Incident(time, "file made again", _about(run, event), event.round, str(event.fields["file"])))


def _about(run: Run, event: Event) -> str:
    return event.site if event.site in run.sites else ""


def _site_lost(run: Run, event: Event, time: float) -> None:
    site, silent = run.site(event.site), float(event.fields["silent_seconds"])
    if site.state not in ("failed", "refused"):
        site.state, site.detail = "lost", f"silent for {silent:.0f} s, then given up"
    if (current := run.rounds.get(run.round)) is not None and current.ended is None:
        current.enter(site.name, "lost", time - silent)  # it has been gone since then
    run.report(Incident(time, "site lost", site.name, run.round or None, site.detail))


def _site_returned(run: Run, event: Event, time: float) -> None:
    site = _alive(run, event, time)
    site.state, site.detail = "connecting", "back again"
    run.report(Incident(time, "site back", site.name, run.round or None, ""))


def _site_refused(run: Run, event: Event, time: float) -> None:
    reason, detail = str(event.fields["reason"]), str(event.fields.get("detail") or "")
    known = reason if reason in REFUSALS else "other"
    run.refusals[known] = run.refusals.get(known, 0) + _times(event)
    if event.site in run.sites:
        run.sites[event.site].state, run.sites[event.site].detail = "refused", f"{reason}: {detail}"
    who = "" if event.site == run.owner else event.site
    run.report(Incident(time, "peer refused", who, event.round, f"{reason}: {detail}"))


def _round_finished(run: Run, event: Event, time: float) -> None:
    said = event.fields
    one = run.rounds.get(_number(event)) or run.open_round(_number(event), time - float(said["seconds"]))
    one.seconds, one.seconds_outside_training = float(said["seconds"]), said.get("seconds_outside_training")
    one.loss, one.nll, one.missing = said["loss"], said["nll"], list(said["missing"])
    one.site_loss, one.site_nll = by_site(said["site_loss"], run.sites), by_site(said["site_nll"], run.sites)
    for name, nll in one.site_nll.items():
        run.site(name).nll = nll
    one.close(time)


def _phase_entered(run: Run, event: Event, time: float) -> None:
    """A site's own log: like the progress that the aggregator hears of."""
    if not run.open and _STATES.get(event.phase or "") not in _ENDED:
        run.reopen(time)
        run.report(Incident(time, "site started again", event.site, run.round or None, "it went on where it was"))
    if event.phase == "sending" and (current := run.rounds.get(_number(event))) is not None:
        current.enter(event.site, "exchange", time)  # this log does not tell sending, waiting and receiving apart
        _alive(run, event, time).state = "sending"
    else:
        _site_progress(run, event, time)


def _received(run: Run, event: Event, time: float) -> None:
    site = _alive(run, event, time)
    site.received_bytes += int(event.fields["bytes"])
    if (last := run.rounds.get(run.round)) is not None:
        last.close(time)
    run.open_round(_number(event), time)


def _validated(run: Run, event: Event, time: float) -> None:
    _alive(run, event, time).nll = float(event.fields["nll"])


def _training_step(run: Run, event: Event, time: float) -> None:
    _site_progress(run, event, time)
    if (current := run.rounds.get(_number(event))) is not None:
        current.tell_loss(float(event.fields["loss"]))


def _sent(run: Run, event: Event, time: float) -> None:
    site, said = _alive(run, event, time), event.fields
    site.sent_bytes += int(said["bytes"])
    for tensor in said["tensors"]:
        run.left(str(tensor["name"]), tuple(map(int, tensor["shape"])), int(tensor["bytes"]), event.round)


def _run_finished(run: Run, event: Event, time: float) -> None:
    said = event.fields
    run.outcome, run.missing = str(said.get("outcome", "complete")), list(said.get("missing", ()))
    run.missed_rounds = {site: int(count) for site, count in said.get("missed_rounds", {}).items()}
    for site in run.sites.values():
        if site.name not in run.missing:
            site.state, site.detail, site.seconds_left = "finished", "", None
    if (current := run.rounds.get(run.round)) is not None and current.ended is None:
        current.close(time)


def _run_stopped(run: Run, event: Event, time: float) -> None:
    reason, detail = str(event.fields["reason"]), str(event.fields.get("detail") or "")
    run.stopped, run.stopped_with = detail or reason, reason
    if run.role == "site":
        site = run.site(event.site)
        site.state, site.detail = "stopped" if reason == Exit.TERMINATED.slug else "failed", run.stopped
    if (current := run.rounds.get(run.round)) is not None:
        current.close(time)
    run.report(Incident(time, f"{run.role} stopped", event.site, run.round or None, f"{reason}: {detail}"))


def _alive(run: Run, event: Event, time: float) -> Site:
    site = run.site(event.site)
    if site.seen is not None:
        site.gap = time - site.seen
    site.seen = time
    return site


def _phase(current: Round, site: Site) -> Phase | None:
    spans = current.spans.get(site.name)
    return spans[-1].phase if spans else None


def _times(event: Event) -> int:
    """How often it happened: what is repeated adds up to one event."""
    return int(event.fields.get("times", 1))


def _number(event: Event) -> int:
    if event.round is None:
        raise ValueError("an event of a round without its number")
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
    "site_refused": _site_refused,
    "round_finished": _round_finished,
    "run_finished": _run_finished,
    "run_stopped": _run_stopped,
    "phase": _phase_entered,
    "received": _received,
    "validated": _validated,
    "training_step": _training_step,
    "sent": _sent,
}
KINDS = tuple(_HANDLERS)
