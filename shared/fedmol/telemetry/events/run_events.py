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
    rounds: Count
    quorum: Count  # sites
    parameters: Count
    model_bytes: Count
    manifest: Manifest = {}


class RunBound(Record, kind="run_bound"):
    """What the run is bound to, as the site was told it."""

    manifest: Manifest


class Changed(Record):
    """What a change of the coordinator says, see `fedmol.fl.changes`."""

    rounds: Count | None = None
    quorum: Count | None = None
    deadline: Seconds = None
    grace: Seconds = None
    join_deadline: Seconds = None
    lost_after: Seconds = None
    add: Names = []
    remove: Names = []
    accept_shards: Names = []


class SettingsChanged(Record, kind="settings_changed", incident="settings changed"):
    """In the head: the round from which on it holds. The aggregator's log has it as it was signed."""

    number: Count
    changes: Changed
    document: Annotated[str, Field(max_length=2**14)] | None = None  # that was signed
    signature: Annotated[str, Field(max_length=2**10)] | None = None  # hex

    def words(self) -> str:
        entries = self.changes.model_dump(exclude_defaults=True).items()
        return f"change {self.number}: {', '.join(f'{key} {_shown(value)}' for key, value in entries)}"


class ChangeRefused(Record, kind="change_refused", incident="change refused"):
    file: Text
    reason: Name  # the exit's slug
    detail: Text

    def words(self) -> str:
        return f"{self.file}: {self.detail}"


class ClockStopped(Record, kind="clock_stopped", incident="clock stopped"):
    seconds: Seconds  # that the process, or the machine, did not run

    def words(self) -> str:
        return f"the process did not run for {duration(self.seconds)}"


class StateDamaged(Record, kind="state_damaged", incident="damaged file"):
    file: Text
    detail: Text

    def words(self) -> str:
        return f"{self.file}: {self.detail}"


class StateRebuilt(Record, kind="state_rebuilt", incident="file made again"):
    file: Text

    def words(self) -> str:
        return self.file


class RunFinished(Record, kind="run_finished"):
    """A site's own log has only the model's digest."""

    outcome: Name = "complete"  # or "quorum": not every site counted in every round
    missing: Names = []  # at the end
    missed_rounds: Counts = {}  # how many
    rounds: Count = 0
    model_digest: Digest | None = None


class RunStopped(Record, kind="run_stopped", incident="stopped"):
    reason: Name  # the exit's slug
    detail: Text = ""

    def words(self) -> str:
        return f"{self.reason}: {self.detail}"


class ModelDelivered(Record, kind="model_delivered"):
    """The site in the head holds the final model."""

    model_digest: Digest


class ModelReceived(Record, kind="model_received"):
    """The final model is here."""

    model_digest: Digest
    file_digest: Digest
    bytes: Count  # of the file


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else f"{value}"
