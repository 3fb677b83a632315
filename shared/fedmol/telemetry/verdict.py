"""What the run and its sites are doing, as it is to be said at the moment of asking: a silence is news, too."""

from __future__ import annotations

from fedmol.formats import duration, misses, names
from fedmol.telemetry.state import LATE_AFTER, Run, RunState, Site, SiteState

SILENT_AFTER = 15.0  # seconds in which nobody wrote anything
_ALIVE = ("reading", "waiting", "receiving", "validating", "training", "sending", "connecting")


def site_state(site: Site, run: Run, now: float) -> tuple[SiteState, str]:
    """The site's state, and a word on it: a site that has fallen silent is not said to train."""
    if site.state not in _ALIVE:
        return site.state, site.detail
    if run.stopped is not None:
        return "unknown", f"the {run.role} has stopped; last seen {site.state}"
    if site.seen is None:
        return site.state, site.detail or "has not connected yet"
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
        return "silent", f"Nothing has been logged for {duration(silence)}: {_why_silent(run)}."
    if run.role == "aggregator" and not run.agreed:
        members = [site for site in run.sites.values() if site.state != "removed"]
        here = sum(site.molecules is not None for site in members)
        return "gathering", f"{here} of {len(members)} sites have joined."
    return "running", f"Round {run.round} of {run.rounds_target}." if run.rounds_target else f"Round {run.round}."


def _why_silent(run: Run) -> str:
    if run.role == "aggregator":
        return "the aggregator is dead, or no site reaches it"
    site = run.sites.get(run.owner)
    return "the site is dead or stuck" if site and site.state == "training" else "the site is waiting or dead"


def _finished(run: Run) -> str:
    if run.role == "site":
        return "The site took part until the end."
    if not run.missed_rounds:
        return "Every site took part in every round."
    end = f"; missing at the end: {names(run.missing)}" if run.missing else ""
    return f"With the quorum: {misses(run.missed_rounds)}{end}."


def seconds_left(run: Run, now: float) -> float | None:
    """At the mean pace of the last five rounds, the current one not before its sites have trained as long as they say.

    None before one has ended, or when the run is not going on.
    """
    paces = [round.seconds for round in run.rounds.values() if round.seconds is not None][-5:]
    if not paces or not run.open or run.rounds_target is None:
        return None
    pace = sum(paces) / len(paces)
    later = run.rounds_target - run.rounds_finished - 1
    current = run.rounds.get(run.round)
    begun = now - current.began if current and current.ended is None else 0.0
    training = [
        site.seconds_left - (now - site.seen)
        for site in run.sites.values()
        if site.state == "training" and site.seconds_left is not None and site.seen is not None
    ]
    return max(0.0, pace * later + max(0.0, pace - begun, *training))
