"""Every kind of event, as a closed record: its fields, their types, units and bounds.

`written` makes the fields of an event fit to be written: texts are made printable and cut, numbers are bounded, and
whatever is not what the record says is an error of the program. `told` is the reader's side: nothing is mended there.
Fields of a later version are passed over, and so are kinds (`told` gives None for them).
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from fedmol.shown import plain

LARGEST = 2**53  # of whole numbers: beyond it JavaScript cannot count
MOST_SITES = 1000
LONGEST_NAME, LONGEST_TEXT, MOST_BYTES = 64, 512, 600  # characters; bytes of a text as JSON
LONGEST_MOMENT = 40  # characters
_EARLIEST, _LATEST = "2000", "2100"  # years: what is reckoned with times stays within bounds
_GREATEST, _LONGEST_TIME = 1e300, 1e9  # so that differences and sums stay finite, too; seconds
_WRITING = {"writing": True}


def _writing(info: ValidationInfo) -> bool:
    return info.context is _WRITING


def _cut(longest: int) -> BeforeValidator:
    def cut(value: Any, info: ValidationInfo) -> Any:
        if not (_writing(info) and isinstance(value, str)):
            return value
        text = plain(value, longest)
        while len(json.dumps(text)) - 2 > MOST_BYTES:
            text = plain(text, len(text) * 3 // 4)
        return text

    return BeforeValidator(cut)


def _whole(value: Any, info: ValidationInfo) -> Any:
    if _writing(info) and isinstance(value, int) and not isinstance(value, bool):
        return max(-LARGEST, min(value, LARGEST))
    return value


def _finite(greatest: float) -> BeforeValidator:
    def bounded(value: Any, info: ValidationInfo) -> Any:
        if not _writing(info) or not isinstance(value, (int, float)) or isinstance(value, bool):
            return value
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return float(max(-greatest, min(value, greatest)))

    return BeforeValidator(bounded)


def moment(text: str) -> datetime:
    """A time as the log writes it. Raises ValueError for one that a run cannot have."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or not _EARLIEST <= f"{time.year:04d}" < _LATEST:
        raise ValueError("the time of an event is out of range")
    return time


def _checked(text: str) -> str:
    moment(text)
    return text


Text = Annotated[str, _cut(LONGEST_TEXT), Field(max_length=LONGEST_TEXT)]
Name = Annotated[str, _cut(LONGEST_NAME), Field(max_length=LONGEST_NAME)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=LARGEST)]
Number = Annotated[  # None: it was not finite
    Annotated[float, Field(ge=-_GREATEST, le=_GREATEST)] | None, _finite(_GREATEST)
]
Seconds = Annotated[Annotated[float, Field(ge=-_LONGEST_TIME, le=_LONGEST_TIME)] | None, _finite(_LONGEST_TIME)]
Names = Annotated[list[Name], Field(max_length=MOST_SITES)]
Counts = Annotated[dict[Name, Count], Field(max_length=MOST_SITES)]  # by site
Numbers = Annotated[dict[Name, Number], Field(max_length=MOST_SITES)]
Digests = Annotated[dict[Name, Digest], Field(max_length=MOST_SITES)]
Histogram = Annotated[list[Count], Field(max_length=2**13)]
Times = Annotated[Count, Field(ge=1)]
Moment = Annotated[str, Field(max_length=LONGEST_MOMENT), AfterValidator(_checked)]  # as in the head of an event


class Misfit(ValueError):
    """The fields of an event that was read are not those of its kind."""


class Record(BaseModel):
    """The fields of one kind of event, or a part of them. The event's head has the site and the round it is about."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class Census(Record):
    atoms: Histogram = []
    bonds: Histogram = []
    sizes: Histogram = []


class Nothing(Record):
    """The kind says it all."""


class RunStarted(Record):
    """The aggregator has started, or started again. The first one of a log says what the run is bound to."""

    sites: Names
    rounds: Count
    quorum: Count
    parameters: Count
    model_bytes: Count
    manifest: Annotated[dict[Name, Any], Field(max_length=1000)] = {}


class SiteJoined(Record):
    molecules: Count
    census: Census = Census()


class Agreement(Record):
    molecules: Counts
    weights: Numbers
    local_steps: Count
    census: Census = Census()
    shards: Digests = {}


class RoundStarted(Record):
    """In the head: the round."""


class Training(Record):
    """What a site says of its work; nobody else measures it."""

    step: Count = 0
    steps: Count = 0
    loss: Number = None
    molecules_per_second: Number = None
    seconds_left: Seconds = None  # of the round's training


class SiteProgress(Training):
    model_digest: Digest | None = None  # of the final model, once the site has it


class UpdateReceived(Record):
    molecules: Count
    bytes: Count
    norm: Number  # of what it moves the model by


class Repeated(Record):
    """What adds up, see `fedmol.telemetry.repeats`: it is written up to a minute after it happened."""

    times: Times = 1
    last: Moment | None = None  # when it last happened; None: when the event was written


class UpdateRefused(Repeated):
    reason: Text


class UpdateLate(Repeated):
    """In the head: the round."""


class UpdateNotCounted(Record):
    """The aggregator tells it with the numbers, the site with the reason that it was told."""

    section: Name = "model"  # that moved too far
    norm: Number = None
    limit: Number = None
    reason: Text | None = None


class SectionChanges(Record):
    """How far a section beside the model was changed, see `fedmol.fl.section_shares`."""

    norms: Numbers
    total: Number
    before: Numbers


class RoundFinished(Record):
    """The account of a round, see `fedmol.fl.round_account`."""

    sites: Names
    weights: Numbers  # of the sites whose updates counted
    missing: Names
    excluded: Names = []
    moves: Numbers = {}
    last_counted: Counts = {}
    seconds: Seconds
    seconds_outside_training: Seconds = None
    aggregator_cpu_seconds: Seconds = None
    loss: Number
    nll: Number  # of the model that entered the round
    site_loss: Numbers
    site_nll: Numbers
    model_digest: Digest
    digests: Digests = {}  # of the sections beside the model
    shares: Numbers = {}  # in them, of all members
    members_since: Count = 1  # the first round of these members with these shares
    changes: Annotated[dict[Name, SectionChanges], Field(max_length=16)] = {}  # by section


class SiteLost(Record):
    silent_seconds: Seconds


class SiteRefused(Repeated):
    reason: Name  # the exit's slug
    detail: Text = ""


class StateDamaged(Record):
    file: Text
    detail: Text


class StateRebuilt(Record):
    file: Text


class RunFinished(Record):
    """A site's own log has none of these."""

    outcome: Name = "complete"
    missing: Names = []  # at the end
    missed_rounds: Counts = {}
    rounds: Count = 0
    model_digest: Digest | None = None


class RunStopped(Record):
    reason: Name  # the exit's slug
    detail: Text = ""


class ModelDelivered(Record):
    """The site in the head holds the final model."""

    model_digest: Digest


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


class SettingsChanged(Record):
    """In the head: the round from which on it holds. The aggregator's log has it as it was signed."""

    number: Count
    changes: Changed
    document: Annotated[str, Field(max_length=2**14)] | None = None
    signature: Annotated[str, Field(max_length=2**10)] | None = None


class ChangeRefused(Record):
    file: Text
    reason: Name  # the exit's slug
    detail: Text


class ClockStopped(Record):
    seconds: Seconds  # that the process, or the machine, did not run


class SiteHung(Record):
    """A site's own pulse has found that its work makes no progress."""

    seconds: Seconds = None
    detail: Text = ""


class Bytes(Record):
    bytes: Count


class Validated(Record):
    nll: Number


class TensorSent(Record):
    name: Name
    shape: Annotated[list[Count], Field(max_length=8)]
    bytes: Count


class Sent(Record):
    tensors: Annotated[list[TensorSent], Field(max_length=1000)]
    bytes: Count


class MessageSent(Record):
    """A site's messages that hold the same fields, since they were told last."""

    call: Name
    times: Times
    bytes: Count
    holds: Annotated[list[Name], Field(max_length=100)]


class ModelReceived(Record):
    """The final model is here."""

    model_digest: Digest
    file_digest: Digest
    bytes: Count


class RoundOpened(Record):
    model_digest: Digest
    digests: Digests = {}  # of the sections beside the model
    counted: bool | None  # whether the update that the site sent last did


class LogAnchored(Record):
    """What the aggregator has signed of its log when the round was over, see `fedmol.fl.log_anchors`."""

    log_seq: Count  # of the line, in the aggregator's log, that closes the round
    head: Digest  # of that line
    model_digest: Digest  # of the model that left the round
    certificate: Annotated[str, Field(max_length=2**14)]  # the aggregator's, in PEM form
    signature: Annotated[str, Field(max_length=2**10)]


class RunBound(Record):
    manifest: Annotated[dict[Name, Any], Field(max_length=1000)]


class Agreed(Record):
    """The agreement as a site was told it."""

    local_steps: Count
    census: Digest
    molecules: Counts
    shards: Digests


KINDS: dict[str, type[Record]] = {
    # the aggregator's log
    "run_started": RunStarted,
    "site_joined": SiteJoined,
    "agreement": Agreement,
    "round_started": RoundStarted,
    "site_progress": SiteProgress,
    "update_received": UpdateReceived,
    "update_refused": UpdateRefused,
    "update_late": UpdateLate,
    "round_finished": RoundFinished,
    "site_lost": SiteLost,
    "site_returned": Nothing,
    "site_refused": SiteRefused,
    "model_delivered": ModelDelivered,
    "change_refused": ChangeRefused,
    "clock_stopped": ClockStopped,
    # both logs
    "settings_changed": SettingsChanged,
    "update_not_counted": UpdateNotCounted,
    "state_damaged": StateDamaged,
    "state_rebuilt": StateRebuilt,
    "run_finished": RunFinished,
    "run_stopped": RunStopped,
    "site_hung": SiteHung,
    # a site's log
    "run_bound": RunBound,
    "agreed": Agreed,
    "phase": Nothing,
    "log_anchored": LogAnchored,
    "round_opened": RoundOpened,
    "received": Bytes,
    "validated": Validated,
    "training_step": Training,
    "sent": Sent,
    "message_sent": MessageSent,
    "model_received": ModelReceived,
}
OF_A_ROUND = {
    *("round_started", "round_finished", "update_received"),
    *("log_anchored", "received", "validated", "training_step", "sent"),
}


def written(kind: str, round: int | None, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as they are written.

    Raises:
        TypeError: the program writes what no record knows.
    """
    record = KINDS.get(kind)
    if record is None:
        raise TypeError(f"no record of fedmol.telemetry.events is the event {kind!r}")
    if kind in OF_A_ROUND and round is None:
        raise TypeError(f"the event {kind} has no round")
    try:
        found = record.model_validate(fields, context=_WRITING, extra="forbid")
    except ValidationError as error:
        raise TypeError(f"the event {kind} is not the record {record.__name__}: {wrong(error)}") from None
    return {name: value for name, value in found.model_dump(exclude_unset=True).items() if name in fields}


def told(kind: str, round: int | None, fields: dict[str, Any]) -> Record | None:
    """The record of an event that was read; None for a kind of a later version.

    Raises:
        Misfit: the fields are not those of the kind; it names the first that is wrong.
    """
    record = KINDS.get(kind)
    if record is None:
        return None
    if kind in OF_A_ROUND and round is None:
        raise Misfit(f"{kind} has no round")
    try:
        return record.model_validate(fields, extra="ignore")
    except ValidationError as error:
        raise Misfit(f"{kind}: {wrong(error)}") from None


def wrong(error: ValidationError) -> str:
    """The first thing that is wrong, in a few words."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return plain(f"{where}: {first['msg']}", 200)
