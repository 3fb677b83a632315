"""The end of a run at a site: it is over once the site holds the final model, whole, and the log says so."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fedmol.files import open_regular
from fedmol.fl.federation import Settings
from fedmol.fl.messages import Agreement
from fedmol.fl.payload import Vector, vector_digest
from fedmol.telemetry import queries
from fedmol.telemetry.events.run_events import ModelReceived, RunFinished
from fedmol.telemetry.log import EventLog
from fedmol.training.assembly import MODEL_FILE, save_final_model

_LOG = "events.jsonl"
_PIECE = 2**22  # bytes that are read at a time


@dataclass(frozen=True)
class RunEnd:
    """What the site's log says of the end of a run, and what has become of the model's file since."""

    model_digest: str | None = None  # of the final model, once it was written
    told: bool = False  # the run was finished here
    damage: str | None = None  # why the file is not what was written

    @property
    def over(self) -> bool:
        """Nothing is left to do."""
        return self.told and self.model_digest is not None and self.damage is None

    @property
    def held(self) -> str | None:
        """The digest of the final model, if it is here."""
        return None if self.damage else self.model_digest


def run_end_of(work: Path, run: str) -> RunEnd:
    """How far the site has come with the end of `run`. Raises FedmolError STATE_UNUSABLE when its log is damaged."""
    log = work / _LOG
    received = queries.last(log, ModelReceived, run) if log.exists() else None
    if received is None:
        return RunEnd()
    told = queries.last(log, RunFinished, run) is not None
    return RunEnd(received.body.model_digest, told, _damage(work / MODEL_FILE, received.body.file_digest))


def keep(work: Path, settings: Settings, agreement: Agreement, weights: Vector, rounds: int, events: EventLog) -> None:
    """Write the final model, the same file as the aggregator's, and say so in the log."""
    path = work / MODEL_FILE
    save_final_model(path, settings, agreement, weights, rounds)
    size, digest = path.stat().st_size, _file_digest(path)
    events.write(ModelReceived(model_digest=vector_digest(weights), file_digest=digest, bytes=size))
    events.sync()


def _damage(path: Path, digest: str) -> str | None:
    try:
        return None if _file_digest(path) == digest else f"{path} is not what was written: the digest differs"
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _file_digest(path: Path) -> str:
    hashed = hashlib.sha256()
    with open_regular(path, follow=False) as file:
        while piece := file.read(_PIECE):
            hashed.update(piece)
    return hashed.hexdigest()
