"""The sites: how they come in, what they do, how they are lost or refused, and what left them."""

from __future__ import annotations

from fedmol.formats import fixed
from fedmol.telemetry.events.site_events import (
    AgreementReached,
    MessageSent,
    PhaseEntered,
    SiteHung,
    SiteJoined,
    SiteLost,
    SiteProgress,
    SiteRefused,
    SiteReturned,
    Training,
    TrainingStep,
)
from fedmol.telemetry.log import AnyEvent, Event
from fedmol.telemetry.reducer.handling import handles, happened, number, report, site_of
from fedmol.telemetry.reducer.round_handlers import enter_round
from fedmol.telemetry.reducer.signs_of_life import alive, concerns, phase_of
from fedmol.telemetry.state import REFUSALS, Phase, Run, Site, SiteState

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
_PHASES: dict[SiteState, Phase] = {
    "receiving": "download",
    "validating": "validate",
    "training": "train",
    "sending": "upload",
}


@handles(SiteJoined)
def _site_joined(run: Run, event: Event[SiteJoined], time: float) -> None:
    said, site = event.body, alive(run, event, time)
    site.become("waiting", "for the others", time)
    site.joined, site.molecules = True, said.molecules
    told = said.census if "census" in said.model_fields_set else None
    site.counts = None if told is None else sum(map(len, (told.atoms, told.bonds, told.sizes)))
    run.say(f"{site.name} joined with {said.molecules:,} molecules")


@handles(AgreementReached)
def _agreement_reached(run: Run, event: Event[AgreementReached], time: float) -> None:
    said, first = event.body, not run.agreed
    run.agreed, run.local_steps, run.progressed = True, said.local_steps, time
    for name, molecules in said.molecules.items():
        site_of(run, name).molecules = molecules
    for name, weight in said.weights.items():
        site_of(run, name).weight = weight
    current = run.rounds.get(run.round)
    if first and current is not None:  # the first round's clock starts when everyone is here
        current.began = time
        enter_round(run, current, time)
    shares = ", ".join(f"{site} {fixed(weight, 3)}" for site, weight in said.weights.items())
    run.say(f"agreed: {said.local_steps} steps a round, weights {shares}")


@handles(SiteProgress)
def _site_progress(run: Run, event: Event[SiteProgress], time: float) -> None:
    _goes_on(run, event, time, event.body)


@handles(PhaseEntered)
def _phase_entered(run: Run, event: Event[PhaseEntered], time: float) -> None:
    """A site's own log: like the progress that the aggregator hears of."""
    if not run.open and _STATES.get(event.phase or "") not in _ENDED:
        run.reopen(time)
        went_on = "it went on where it was"
        report(run, event, time, what="site started again", detail=went_on, round=run.round or None)
    if event.phase == "sending" and event.round is not None and (current := run.rounds.get(event.round)) is not None:
        current.enter(event.site, "exchange", time)  # this log does not tell sending, waiting and receiving apart
        site = alive(run, event, time)
        site.become("sending", site.detail, time)
    else:
        _goes_on(run, event, time, Training())


@handles(TrainingStep)
def _training_step(run: Run, event: Event[TrainingStep], time: float) -> None:
    _goes_on(run, event, time, event.body)
    if (current := run.rounds.get(number(event))) is not None and event.body.loss is not None:
        current.tell_loss(event.body.loss)


def _goes_on(run: Run, event: AnyEvent, time: float, said: Training) -> None:
    site = alive(run, event, time)
    state = _STATES.get(event.phase or "", "unknown")
    if site.state == "removed" or (state == "failed" and site.state == "refused"):
        return  # it failed because it was refused: the reason says more
    current = run.rounds.get(event.round) if event.round is not None else None
    if state == "sending" and current is not None and phase_of(current, site) == "idle":
        state = "waiting"  # its update is here: what it still calls sending is waiting for the next round
    detail = "for the others" if state == "waiting" else "" if state != "unknown" else str(event.phase)
    site.become(state, detail, time)
    if event.round not in (None, site.round):
        site.round, site.step = event.round, 0
    if state == "training" and _count_steps(site, said):
        run.progressed = time
    if current is not None and state in _PHASES:
        current.enter(site.name, _PHASES[state], time)


def _count_steps(site: Site, said: Training) -> bool:
    """Whether there are new ones."""
    new = max(0, said.step - site.step)
    site.steps_total += new
    site.step, site.steps = said.step, said.steps
    site.loss = site.loss if said.loss is None else said.loss
    if said.molecules_per_second is not None:  # as it was last told
        site.molecules_per_second = said.molecules_per_second
    site.seconds_left = said.seconds_left
    return new > 0


@handles(SiteLost)
def _site_lost(run: Run, event: Event[SiteLost], time: float) -> None:
    site, silent = site_of(run, event.site), event.body.silent_seconds or 0.0
    if site.state not in ("failed", "refused", "removed"):
        site.become("lost", event.body.words(), time)
    if (current := run.rounds.get(run.round)) is not None and current.ended is None:
        current.enter(site.name, "lost", time - silent)  # it has been gone since then
    report(run, event, time, round=run.round or None)


@handles(SiteReturned)
def _site_returned(run: Run, event: Event[SiteReturned], time: float) -> None:
    site = alive(run, event, time)
    if site.state != "removed":
        site.become("connecting", "back again", time)
    report(run, event, time, round=run.round or None)


@handles(SiteHung)
def _site_hung(run: Run, event: Event[SiteHung], time: float) -> None:
    site = site_of(run, event.site)
    if site.state != "removed":
        site.become("hung", event.body.words(), time)
    if (current := run.rounds.get(run.round)) is not None:
        current.enter(site.name, "silent", time)
    report(run, event, time, round=event.round or run.round or None)


@handles(SiteRefused)
def _site_refused(run: Run, event: Event[SiteRefused], time: float) -> None:
    said, site = event.body, run.sites.get(event.site)
    known = said.reason if said.reason in REFUSALS else "other"
    run.refusals[known] = run.refusals.get(known, 0) + said.times
    if site is not None and concerns(site, event, time):
        site.become("refused", said.words(), happened(time, said))
    report(run, event, time)


@handles(MessageSent)
def _message_sent(run: Run, event: Event[MessageSent], time: float) -> None:
    said = event.body
    run.outbound.add_messages(said.call, said.holds, said.bytes, said.times)
