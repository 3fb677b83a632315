"""What a restart takes up: the newest round on the disk, held against the event log.

A run goes on with the model it had, or not at all. The newest round's file is compared with the digest that the log
names. Where the file is missing or damaged it is made again from the file before and the updates, which are kept for
that; where the log lacks the last round, because the process ended between the two, the file says what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog, read
from fedmol.fl.checkpoints import Checkpoint, Checkpoints
from fedmol.fl.payload import MODEL, vector_digest
from fedmol.fl.strategies import Sections
from fedmol.fl.tasks import TRAIN
from fedmol.fl.updates import DamagedUpdate
from fedmol.fl.uploads import UploadStore

if TYPE_CHECKING:
    from fedmol.fl.engine import Terms

Accounts = Mapping[int, dict[str, Any]]


def accounts(log: Path) -> dict[int, dict[str, Any]]:
    """The accounts of the finished rounds, by round, as the event log has them."""
    finished = (event for event in read(log) if event.kind == "round_finished")
    return {event.round: {"round": event.round, **event.fields} for event in finished if event.round}


def recover(
    terms: Terms, initial: Sections, checkpoints: Checkpoints, uploads: UploadStore, events: EventLog
) -> Checkpoint | None:
    """The newest round, or None when none has been finished.

    Raises:
        FedmolError: STATE_UNUSABLE when what is on the disk does not add up and cannot be made again.
    """
    logged, saved = accounts(events.path), checkpoints.rounds()
    newest = max([*logged, *saved], default=0)
    if newest == 0:
        return None
    if len(logged) < newest - 1 or newest > terms.rounds:
        what = "more rounds than this run has" if newest > terms.rounds else "rounds that the event log does not know"
        raise _unusable(f"{checkpoints.path(newest)}: the folder holds {what}")
    try:
        last = checkpoints.load(newest, terms.payload)
        _compare(checkpoints.path(newest), last, logged.get(newest))
    except FedmolError as damage:
        return _rebuild(newest, damage, terms, initial, checkpoints, uploads, events, logged)
    if newest not in logged:
        events.write("round_finished", **last.account)
    return last


def _rebuild(
    round: int,
    damage: FedmolError,
    terms: Terms,
    initial: Sections,
    checkpoints: Checkpoints,
    uploads: UploadStore,
    events: EventLog,
    logged: Accounts,
) -> Checkpoint | None:
    """The round's file again, from the round before and the updates.

    A round that is not in the log was never announced: it is open again, and closes with its own updates.
    """
    before = _before(round, damage, terms, initial, checkpoints, logged)
    events.write("state_damaged", round=round, file=str(checkpoints.path(round)), detail=damage.message)
    if round not in logged:
        checkpoints.path(round).unlink(missing_ok=True)
        return before if round > 1 else None
    said = logged[round]
    records, _ = uploads.records(round)
    trained = {record.site: record for record in records if record.task == TRAIN.name}
    try:
        updates = [uploads.update(trained[site], weight) for site, weight in said["weights"].items()]
        sections, state = terms.strategy.step(terms.payload, before.sections, updates, before.state)
    except (KeyError, DamagedUpdate):
        raise damage from None
    if vector_digest(sections[MODEL]) != said["model_digest"]:
        raise damage
    last = Checkpoint(sections, state, said)
    checkpoints.save(round, last)
    events.write("state_rebuilt", round=round, file=str(checkpoints.path(round)))
    return last


def _before(
    round: int, damage: FedmolError, terms: Terms, initial: Sections, checkpoints: Checkpoints, logged: Accounts
) -> Checkpoint:
    if round == 1:
        return Checkpoint(initial, {}, {"model_digest": vector_digest(initial[MODEL])})
    try:
        before = checkpoints.load(round - 1, terms.payload)
        _compare(checkpoints.path(round - 1), before, logged.get(round - 1))
    except FedmolError:
        raise damage from None
    return before


def _compare(path: Path, checkpoint: Checkpoint, said: Mapping[str, Any] | None) -> None:
    if said is not None and said.get("model_digest") != checkpoint.model_digest:
        raise _unusable(f"{path} holds another model than the event log names")


def _unusable(what: str) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE, what, "restore the working folder from a backup, or start a new run in an empty folder"
    )
