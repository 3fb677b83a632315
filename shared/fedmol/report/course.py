"""Who was in a run when, and by which settings: those that it began with, and each change that its log tells of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedmol.errors import FedmolError
from fedmol.events import Event
from fedmol.federation.changes import Change, amended, parse_change
from fedmol.federation.settings import Settings


@dataclass(frozen=True)
class Course:
    settings: Settings  # as the run began
    stages: list[tuple[int, Settings]]  # from which round on they held, with each change

    @property
    def latest(self) -> Settings:
        return self.stages[-1][1] if self.stages else self.settings

    @property
    def sites(self) -> list[str]:
        """Whoever was in the run, or is to be: first those that it began with."""
        everybody = dict.fromkeys(self.settings.site_names)
        for _, settings in self.stages:
            everybody |= dict.fromkeys(settings.site_names)
        return list(everybody)

    def added(self, site: str) -> int | None:
        """The first round of a site that the run did not begin with."""
        if site in self.settings.site_names:
            return None
        return next((round for round, settings in self.stages if site in settings.site_names), None)

    def removed(self, site: str) -> int | None:
        """The round from which on a site was in the run no more."""
        if site in self.latest.site_names:
            return None
        since = len(self.stages) - 1
        while since > 0 and site not in self.stages[since - 1][1].site_names:
            since -= 1
        return self.stages[since][0]


def course(settings: Settings, events: Iterable[Event], misfits: list[str]) -> Course:
    """From the aggregator's events; a change that does not follow from what was before is noted, and left out."""
    found = Course(settings, [])
    for event in events:
        if event.kind == "settings_changed":
            try:
                change: Change = parse_change(str(event.fields.get("document", "")))
                found.stages.append((change.round, amended(found.latest, change)))
            except FedmolError as error:
                misfits.append(f"entry {event.seq} of the log: {error.message}")
    return found
