"""Whatever did not go as planned: refused peers and updates, late and lost sites, stops and restarts."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field

_NEWEST = 50  # among which one is put in its place that is only told afterwards


@dataclass(slots=True)
class Incident:
    """Equal ones that follow each other are told once, with how often."""

    time: float  # of the newest
    what: str
    site: str  # "" for the aggregator
    round: int | None
    detail: str
    times: int = 1
    first: float = field(init=False)  # the time of the first

    def __post_init__(self) -> None:
        self.first = self.time

    def __str__(self) -> str:
        who, often = f" ({self.site})" if self.site else "", f", {self.times:,} times" if self.times > 1 else ""
        return f"{self.what}{who}{': ' if self.detail else ''}{self.detail}{often}"

    def equals(self, other: Incident) -> bool:
        return (self.what, self.site, self.detail) == (other.what, other.site, other.detail)


@dataclass(slots=True)
class Incidents:
    """The newest `most` incidents, the newest last."""

    most: int
    known: list[Incident] = field(default_factory=list)

    def take(self, incident: Incident, now: float | None) -> None:
        """The newest incident; one that is only told afterwards takes its place in time among the newest."""
        place, known = len(self.known), self.known
        oldest = max(0, place - _NEWEST)
        if now is not None and incident.time < now:
            while place > oldest and known[place - 1].time > incident.time:
                place -= 1
        last = known[place - 1] if place else None
        if last and last.equals(incident):
            last.time, last.times = incident.time, last.times + incident.times
        elif place or len(known) < self.most:
            known.insert(place, incident)
            del known[: -self.most]

    def distinct(self) -> list[Incident]:
        """All that are equal as one, in the order in which they first happened."""
        found: dict[tuple[str, str, str], Incident] = {}
        for incident in self.known:
            same = found.get(key := (incident.what, incident.site, incident.detail))
            if same is None:
                found[key] = copy(incident)
            else:
                same.time, same.times = incident.time, same.times + incident.times
        return list(found.values())
