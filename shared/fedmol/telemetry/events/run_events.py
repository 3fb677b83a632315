"""The run as a whole: how it began, what was changed on the way, how it ended, and what went wrong with its files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fedmol.formats import duration
from fedmol.telemetry.events.event_record import Record
from fedmol.telemetry.events.field_types import Count, Counts, Digest, Manifest, Name, Names, Seconds, Text


class RunStarted(Record, kind="run_started"):
    """The aggregator has started, or started again. The first one of a log says what the run is bound to."""

    sites: Names
    rounds: Count  # that the run is to have
    quorum: Count  # sites without which no round is closed
    parameters: Count  # of the model
    model_bytes: Count  # of all that travels with it
    manifest: Manifest = {}


class RunBound(Record, kind="run_bound"):
    """In a site's log: what the run is bound to, as the site was told it."""

    manifest: Manifest


class Changed(Record):
    """What a change of the coordinator says, see `fedmol.fl.changes`."""

    rounds: Count | None = None  # in all
    quorum: Count | None = None  # sites
    deadline: Seconds = None
    grace: Seconds = None
    join_deadline: Seconds = None
    lost_after: Seconds = None
    add: Names = []
    remove: Names = []
    accept_shards: Names = []


class SettingsChanged(Record, kind="settings_changed", incident="settings changed"):
    """A change of the coordinator holds from the round in the head on. The aggregator's log has it as it was signed."""

    number: Count  # of the change, counted from 1
    changes: Changed
    document: Annotated[str, Field(max_length=2**14)] | None = None  # that was signed
    signature: Annotated[str, Field(max_length=2**10)] | None = None  # hex

    def words(self) -> str:
        entries = self.changes.model_dump(exclude_defaults=True).items()
        return f"change {self.number}: {', '.join(f'{key} {_shown(value)}' for key, value in entries)}"


class ChangeRefused(Record, kind="change_refused", incident="change refused"):
    """A change of the coordinator cannot hold, and was put aside."""

    file: Text
    reason: Name  # the exit's slug
    detail: Text

    def words(self) -> str:
        return f"{self.file}: {self.detail}"


class ClockStopped(Record, kind="clock_stopped", incident="clock stopped"):
    """The aggregator was not running for a while, as when its machine sleeps."""

    seconds: Seconds  # that the process, or the machine, did not run

    def words(self) -> str:
        return f"the process did not run for {duration(self.seconds)}"


class StateDamaged(Record, kind="state_damaged", incident="damaged file"):
    """A file of the party's state cannot be used."""

    file: Text
    detail: Text

    def words(self) -> str:
        return f"{self.file}: {self.detail}"


class StateRebuilt(Record, kind="state_rebuilt", incident="file made again"):
    """A damaged file was made again, from what else there is."""

    file: Text

    def words(self) -> str:
        return self.file


class RunFinished(Record, kind="run_finished"):
    """All rounds are over. A site's log has only the model's digest."""

    outcome: Name = "complete"  # or "quorum": not every site counted in every round
    missing: Names = []  # at the end
    missed_rounds: Counts = {}  # how many each did not count in
    rounds: Count = 0
    model_digest: Digest | None = None  # of the final model


class RunStopped(Record, kind="run_stopped", incident="stopped"):
    """The program ended with an error, or was asked to."""

    reason: Name  # the exit's slug
    detail: Text = ""

    def words(self) -> str:
        return f"{self.reason}: {self.detail}"


class ModelDelivered(Record, kind="model_delivered"):
    """The site in the head holds the final model."""

    model_digest: Digest


class ModelReceived(Record, kind="model_received"):
    """In a site's log: the final model is here."""

    model_digest: Digest
    file_digest: Digest
    bytes: Count  # of the file


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else f"{value}"
