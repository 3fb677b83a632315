"""The run as a whole, and the changes of its settings."""

from __future__ import annotations

from fedmol.errors import Exit
from fedmol.formats import misses
from fedmol.formats import number as numbered
from fedmol.telemetry.events.run_events import (
    ModelDelivered,
    ModelReceived,
    RunFinished,
    RunStarted,
    RunStopped,
    SettingsChanged,
)
from fedmol.telemetry.log import Event
from fedmol.telemetry.reducer.handling import handles, report, site_of
from fedmol.telemetry.reducer.signs_of_life import alive
from fedmol.telemetry.state import Run


@handles(RunStarted)
def _run_started(run: Run, event: Event[RunStarted], time: float) -> None:
    said, again = event.body, run.rounds_target is not None
    run.rounds_target, run.quorum = said.rounds, said.quorum
    run.parameters, run.model_bytes = said.parameters, said.model_bytes
    for name in said.sites:
        site_of(run, name)
    if not again:
        return
    if run.outcome is not None:
        run.stopped = run.stopped_with = None
    else:
        run.reopen(time)
        for site in run.sites.values():
            if site.state != "removed":
                site.become("connecting", "not heard of since the aggregator was started again", time)
    went_on = "the run went on where it was" if run.outcome is None else "the finished run is served again"
    report(run, event, time, what="aggregator started again", detail=went_on)


@handles(SettingsChanged)
def _settings_changed(run: Run, event: Event[SettingsChanged], time: float) -> None:
    said, changes = event.body, event.body.changes
    if run.role == "aggregator":  # a site's own log tells of that site alone
        for name in changes.add:
            site = site_of(run, name)
            site.become("connecting", f"added from round {event.round} on", time)
            run.leaving.pop(name, None)
        for name in changes.remove:
            run.leaving[site_of(run, name).name] = event.round or 0
    elif run.owner in changes.remove:
        run.leaving[run.owner] = event.round or 0
    run.remove(run.round, time)
    run.rounds_target = run.rounds_target if changes.rounds is None else changes.rounds
    run.quorum = run.quorum if changes.quorum is None else changes.quorum
    run.changes = max(run.changes, said.number)
    report(run, event, time)


@handles(ModelDelivered)
def _model_delivered(run: Run, event: Event[ModelDelivered], time: float) -> None:
    site = alive(run, event, time)
    site.has_model = True
    if site.state != "removed":
        site.become("finished", "holds the final model", time)
    run.say(f"{site.name} holds the final model")


@handles(ModelReceived)
def _model_received(run: Run, event: Event[ModelReceived], time: float) -> None:
    site = alive(run, event, time)
    site.has_model, site.received_bytes = True, site.received_bytes + event.body.bytes


@handles(RunFinished)
def _run_finished(run: Run, event: Event[RunFinished], time: float) -> None:
    said = event.body
    run.outcome, run.missing, run.missed_rounds = said.outcome, said.missing, dict(said.missed_rounds)
    run.finished, run.model_digest = time, said.model_digest
    for site in run.sites.values():
        if site.name not in run.missing and site.state != "removed":
            site.become("finished", "", time)
            site.seconds_left = None
    if (current := run.rounds.get(run.round)) is not None and current.ended is None:
        current.close(time)
    absent = f", {misses(run.missed_rounds)}" if run.missed_rounds else ""
    run.say(f"finished {numbered(said.rounds, 'round')}: {said.outcome}{absent}")


@handles(RunStopped)
def _run_stopped(run: Run, event: Event[RunStopped], time: float) -> None:
    said = event.body
    run.stopped, run.stopped_with = said.detail or said.reason, said.reason
    if run.role == "site":
        site = site_of(run, event.site)
        site.become("stopped" if said.reason == Exit.TERMINATED.slug else "failed", run.stopped, time)
    if (current := run.rounds.get(run.round)) is not None:
        current.close(time)
    report(run, event, time, what=f"{run.role} stopped", round=run.round or None)
