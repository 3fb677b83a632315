"""What a restart takes up: the newest round on the disk, held against the event log.

A run goes on with the model it had, or not at all. The newest round's file is compared with the digest that the log
names. Where the file is missing or damaged it is made again from the file before and the updates, which are kept for
that; where the log lacks the last round, because the process ended between the two, the file says what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedmol.errors import Exit, FedmolError
from fedmol.fl.checkpoints import Checkpoint, Checkpoints
from fedmol.fl.payload import Sections, section_digests
from fedmol.fl.round_account import digests_of
from fedmol.fl.rounds import Terms
from fedmol.fl.tasks import TRAIN
from fedmol.fl.updates import DamagedUpdate
from fedmol.fl.uploads import UploadStore
from fedmol.telemetry import queries
from fedmol.telemetry.events.field_types import known
from fedmol.telemetry.events.round_events import RoundFinished
from fedmol.telemetry.events.run_events import StateDamaged, StateRebuilt
from fedmol.telemetry.log import EventLog, LogPosition, digest, lines, parse

Accounts = Mapping[int, RoundFinished]


def accounts(log: Path) -> dict[int, RoundFinished]:
    """The accounts of the finished rounds, by round, as the event log has them."""
    return {event.round: event.body for event in queries.logged(log, RoundFinished) if event.round}


def closing_line(events: EventLog, round: int) -> LogPosition:
    """Where the log says that `round` is finished; what it says up to there is on the disk for good.

    Raises:
        FedmolError: STATE_UNUSABLE when the log does not say so.
    """
    events.sync()
    found = None
    for number, line in lines(events.path):
        if RoundFinished.kind.encode() in line:
            event = parse(line)
            if isinstance(event.body, RoundFinished) and event.round == round:
                found = LogPosition(number - 1, digest(line))
    if found is None:
        raise _unusable(f"{events.path} does not know of round {round}")
    return found


@dataclass(frozen=True)
class Recovery:
    """The pieces of a run's state that are held against each other."""

    terms: Terms
    initial: Sections
    checkpoints: Checkpoints
    uploads: UploadStore
    events: EventLog

    def last_round(self) -> Checkpoint | None:
        """The newest round, or None when none has been finished.

        Raises:
            FedmolError: STATE_UNUSABLE when what is on the disk does not add up and cannot be made again.
        """
        logged, saved = accounts(self.events.path), self.checkpoints.rounds()
        newest = max([*logged, *saved], default=0)
        if newest == 0:
            return None
        if len(logged) < newest - 1 or newest > self.terms.rounds:
            what = (
                "more rounds than this run has" if newest > self.terms.rounds else "rounds that the log does not know"
            )
            raise _unusable(f"{self.checkpoints.path(newest)}: the folder holds {what}")
        try:
            last = self._load(newest, logged)
        except FedmolError as damage:
            return self._rebuild(newest, damage, logged)
        if newest not in logged:
            self.events.write(last.account, round=newest)
        return last

    def _load(self, round: int, logged: Accounts) -> Checkpoint:
        found, path = self.checkpoints.load(round, self.terms.payload), self.checkpoints.path(round)
        if round in logged and digests_of(logged[round]) != found.digests:
            raise _unusable(f"{path} holds another model than the event log names")
        return found

    def _rebuild(self, round: int, damage: FedmolError, logged: Accounts) -> Checkpoint | None:
        """The round's file again, from the round before and the updates.

        A round that is not in the log was never announced: it is open again, and closes with its own updates.
        """
        path, before = self.checkpoints.path(round), self._before(round, damage, logged)
        self.events.write(StateDamaged(file=str(path), detail=damage.message), round=round)
        if round not in logged:
            path.unlink(missing_ok=True)
            return before if round > 1 else None
        said = logged[round]
        records, _ = self.uploads.records(round)
        trained = {record.site: record for record in records if record.task == TRAIN.name}
        try:
            weights = known(said.weights)
            shares = known(said.shares) if "shares" in said.model_fields_set else weights
            updates = [self.uploads.update(trained[site], weight, shares[site]) for site, weight in weights.items()]
            new_members = said.members_since == round + 1
            sections, state = self.terms.step(before.sections, updates, before.state, new_members)
        except (KeyError, DamagedUpdate):
            raise damage from None
        if digests_of(said) != section_digests(sections):
            raise damage
        last = Checkpoint(sections, state, round, said)
        self.checkpoints.save(last)
        self.events.write(StateRebuilt(file=str(path)), round=round)
        return last

    def _before(self, round: int, damage: FedmolError, logged: Accounts) -> Checkpoint:
        if round == 1:
            return Checkpoint.begin(self.initial)
        try:
            return self._load(round - 1, logged)
        except FedmolError:
            raise damage from None


def _unusable(what: str) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE, what, "restore the working folder from a backup, or start a new run in an empty folder"
    )
