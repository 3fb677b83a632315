"""Who was in a run when, and by which settings: those that it began with, and each change that its log tells of."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import ValidationError

from fedmol.errors import FedmolError
from fedmol.fl.changes import amended, parse_change
from fedmol.fl.federation import Settings
from fedmol.telemetry.events.event_record import wrong
from fedmol.telemetry.events.run_events import RunStarted
from fedmol.telemetry.history import History


@dataclass(frozen=True)
class Membership:
    settings: Settings  # as the run began
    stages: list[tuple[int, Settings]] = field(default_factory=list)  # from which round on they held, with each change
    misfits: list[str] = field(default_factory=list)  # what the log tells of it and is left out, and why

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

    def moves(self, site: str) -> list[str]:
        """How a site came and went in mid-run, such as "removed from round 3 on"."""
        said, member = [], site in self.settings.site_names
        for round, settings in dict(self.stages).items():  # of the changes of one round, the last
            if (site in settings.site_names) != member:
                member = not member
                said.append(f"{'added' if member else 'removed'} from round {round} on")
        return said


def membership(settings: Settings, history: History) -> Membership:
    """From the run folder's settings and the aggregator's log.

    What does not fit is noted, and left out: a manifest that is none, a change that does not follow from those before.
    """
    found, start = Membership(settings), history.start
    if start is not None:
        try:
            found = Membership(_as_begun(settings, start.body))
        except ValidationError as error:
            found.misfits.append(f"entry {start.seq} of the log: the manifest is none: {wrong(error)}")
    for event in history.changes:
        try:
            change = parse_change(event.body.document or "")
            found.stages.append((change.round, amended(found.latest, change)))
        except FedmolError as error:
            found.misfits.append(f"entry {event.seq} of the log: {error.message}")
    return found


def _as_begun(settings: Settings, start: RunStarted) -> Settings:
    """The folder has the settings of the last start, which may hold the changes; a manifest is of the first start."""
    manifest = start.manifest
    if not manifest:
        return settings
    document = settings.model_dump()
    document["sites"] = [{"name": name} for name in start.sites]  # a manifest does not keep their order
    document["training"]["rounds"] = manifest.get("training.rounds", settings.training.rounds)
    document["rounds"] |= {key: manifest[f"rounds.{key}"] for key in document["rounds"] if f"rounds.{key}" in manifest}
    return Settings.model_validate(document)
