"""The run's course as the site knows it: what the run is bound to, and what the coordinator has signed since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from fedmol.errors import Exit, FedmolError
from fedmol.fl.changes import Change, Changes
from fedmol.fl.federation import Settings
from fedmol.fl.identity import shared_settings
from fedmol.fl.messages import SignedChange
from fedmol.fl.run_manifest import Manifest, differences
from fedmol.telemetry import queries
from fedmol.telemetry.events.run_events import Changed, RunBound, SettingsChanged
from fedmol.telemetry.log import EventLog
from fedmol.training.assembly import extensions
from fedmol.training.learning_rate import Extension


class KnownChanges:
    """`authority` is the certificate with which changes are checked: neither side can make one up."""

    def __init__(self, run: str, settings: Settings, manifest: Manifest, authority: Path, events: EventLog) -> None:
        """Raises FedmolError CHANGE_REFUSED when the manifest is not that of the site's settings, or not as before."""
        own = {"run": run, **shared_settings(settings)}
        _require(differences({key: manifest.get(key) for key in own}, own), "the site's federation.yaml")
        before = queries.first(events.path, RunBound)
        if before is None:
            events.write(RunBound(manifest=manifest))
        else:
            _require(differences(before.body.manifest, manifest), "what the aggregator says of the run")
        self.changes, self.authority, self.events = Changes(manifest), authority, events

    @property
    def known(self) -> int:
        """How many changes of the run the site knows."""
        return len(self.changes.signed)

    @property
    def rounds(self) -> int:
        """How many rounds the run has, as far as the site knows."""
        return self.changes.latest.training.rounds

    def extensions(self, local_steps: int) -> Sequence[Extension]:
        """The rounds that the run has got since it began, for the schedule of the learning rate."""
        return extensions(self.changes.lengths, local_steps)

    def take_up(self, signed: Iterable[SignedChange]) -> None:
        """Every change of the run, as the aggregator says when the site joins.

        Raises:
            FedmolError: CERTIFICATE_FOREIGN or CHANGE_REFUSED when they are not the coordinator's, or not as before.
        """
        self._note(self.changes.take_all(signed, self.authority))

    def learn(self, signed: Iterable[SignedChange]) -> None:
        """Those that are new with the opening of a round. Raises as `take_up` does."""
        self._note([self.changes.take(change, self.authority) for change in signed])

    def _note(self, fresh: Collection[Change]) -> None:
        if not fresh:
            return  # as in nearly every round: the log is not read for it
        told = {event.body.number for event in queries.logged(self.events.path, SettingsChanged)}
        for change in fresh:
            if change.number not in told:
                said = SettingsChanged(number=change.number, changes=Changed(**change.says()))
                self.events.write(said, round=change.round)


def _require(wrong: list[str], what: str) -> None:
    if wrong:
        raise FedmolError(
            Exit.CHANGE_REFUSED,
            f"{what} differs from what the run is bound to: {'; '.join(wrong)}",
            "use the federation.yaml that the run began with, or ask the coordinator",
        )
