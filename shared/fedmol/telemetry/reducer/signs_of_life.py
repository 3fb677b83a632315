"""What an event that a site has caused says of its being alive, and of how long it was silent before."""

from __future__ import annotations

from fedmol.telemetry.events.event_record import Repeated
from fedmol.telemetry.log import AnyEvent, Event
from fedmol.telemetry.reducer.handling import happened, site_of
from fedmol.telemetry.state import LATE_AFTER, Phase, Round, Run, Site


def alive(run: Run, event: AnyEvent, time: float) -> Site:
    """The site of the event, which has given a sign of life. Was it silent for long before, its round shows that."""
    site = site_of(run, event.site)
    if site.seen is not None:
        site.gap = time - site.seen
        current = run.rounds.get(run.round)
        if current is not None and was_silent(run, current, site, time):
            current.enter(site.name, "silent", max(site.seen, current.began))
    site.seen = time
    return site


def alive_then(run: Run, event: Event[Repeated], time: float) -> Site:
    """The site of the event, which tells of a sign of life that may not be its last one."""
    site, then = site_of(run, event.site), happened(time, event.body)
    return site if site.seen is not None and then < site.seen else alive(run, event, then)


def concerns(site: Site, event: Event[Repeated], time: float) -> bool:
    """Whether it still says what the site does: what is written afterwards may have been overtaken."""
    return site.state != "removed" and (event.body.last is None or happened(time, event.body) >= site.since)


def was_silent(run: Run, current: Round, site: Site, time: float) -> bool:
    """Whether the site, which is said to do something in the round, has not been heard of for long."""
    busy = phase_of(current, site) not in ("idle", "lost", "silent", None)
    return run.role == "aggregator" and busy and not heard(site, time)


def heard(site: Site, time: float) -> bool:
    """Whether the site has been heard of lately."""
    return site.seen is not None and time - site.seen <= LATE_AFTER


def phase_of(current: Round, site: Site) -> Phase | None:
    """What the site does in the round."""
    spans = current.spans.get(site.name)
    return spans[-1].phase if spans else None
