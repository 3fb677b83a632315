"""What a site and the aggregator say to each other beside OpenFL's own protocol: joining, progress, and trying.

They travel as JSON over the same mTLS port, as the gRPC service `fedmol.Federation`. Every message says the version of
the protocol that its sender speaks, see `fedmol.fl.versions`; `read` is the only way from bytes to a message.
Types are closed and strict: no text or truth value is a number, and everything has a bound.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fedmol.documents import read_json
from fedmol.errors import Exit, FedmolError
from fedmol.files import NO_FILE
from fedmol.fl.payload import MODEL
from fedmol.fl.versions import BEFORE, PATTERN, PROTOCOL, check_protocol, parsed, written

SERVICE = "fedmol.Federation"
JOIN = "Join"
REPORT = "Report"
PROBE = "Probe"
OPENING = "Opening"
ECHO = "Echo"  # the only call whose body is not JSON: bytes, which come back as they are
LARGEST_ECHO = 2**20  # bytes
LARGEST_CONTROL = 64 * 2**10  # bytes of any other request
SLOWEST_STEP = 3600  # seconds
LARGEST_CHANGE = 16 * 2**10  # characters
LARGEST_CERTIFICATE = 16 * 2**10  # characters of PEM
_LARGEST_AGREEMENT = 16 * 2**20  # bytes

RunId = Annotated[str, Field(min_length=1, max_length=128)]
PeerName = Annotated[str, Field(pattern="^c-[0-9a-f]{16}$")]
SiteName = Annotated[str, Field(min_length=1, max_length=64)]
Section = Annotated[str, Field(min_length=1, max_length=64)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Signature = Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,512}$")]
Molecules = Annotated[int, Field(ge=2, le=10**9)]
Seconds = Annotated[float, Field(gt=0, le=SLOWEST_STEP, allow_inf_nan=False)]
Semantics = Annotated[int, Field(ge=1, le=10**6)]
Histogram = Annotated[tuple[Annotated[int, Field(ge=0, le=2**53)], ...], Field(min_length=1, max_length=1024)]

Round = Annotated[int, Field(ge=1, le=10**7)]
Steps = Annotated[int, Field(ge=0, le=10**9)]
SitePhase = Literal[
    "connecting", "reading shard", "waiting for the others", "catching up", "receiving model", "validating", "training",
    "sending", "finished", "failed", "stopped",
]  # fmt: skip

_Integer = Annotated[int, Field(ge=-(2**63), lt=2**64)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=256)]
_Entry = Annotated[str, Field(min_length=1, max_length=64)]  # a setting by its dotted path
_Value = bool | _Integer | _Number | _Text | None
SharedSettings = Annotated[dict[_Entry, _Value], Field(max_length=256)]
RunManifest = Annotated[dict[_Entry, _Value | Annotated[list[SiteName], Field(max_length=1000)]], Field(max_length=256)]


class Part(BaseModel):
    """What messages are made of."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Message(Part):
    protocol: Annotated[str, Field(pattern=PATTERN)] = written(PROTOCOL)

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


M = TypeVar("M", bound=Message)


def read(kind: type[M], content: bytes, sender: str) -> M:
    """The message that `sender` ("the site", "the aggregator") has sent.

    Fields that are not known here are ignored when the sender's minor version is higher, and refused otherwise.

    Raises:
        FedmolError: PROTOCOL_DIFFERS, or MESSAGE_REFUSED with the first thing that is wrong.
    """
    theirs = _protocol(content, sender)
    check_protocol(theirs, sender)
    try:
        return kind.model_validate_json(content, extra="ignore" if theirs > PROTOCOL else "forbid")
    except ValidationError as error:
        raise _refused(sender, kind.__name__, _first_fault(error)) from None


def _protocol(content: bytes, sender: str) -> tuple[int, int]:
    try:
        document = pydantic_core.from_json(content)
    except ValueError as error:
        raise _refused(sender, "message", str(error)[:160]) from None
    if not isinstance(document, dict):
        raise _refused(sender, "message", "it is not a JSON object")
    said = document.get("protocol", written(BEFORE))
    if not isinstance(said, str) or re.fullmatch(PATTERN, said) is None:
        raise _refused(sender, "message", "'protocol' is not a version such as 2.0")
    return parsed(said)


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where[:80]!r}: {first['msg'][:160]}"


def _refused(sender: str, kind: str, what: str) -> FedmolError:
    return FedmolError(
        Exit.MESSAGE_REFUSED,
        f"a {kind} from {sender} is not one of protocol {written(PROTOCOL)}: {what}",
        f"run an unchanged release of fedmol at {sender}, and nothing between the two that changes what they say",
    )


class CensusCounts(Part):
    """A census, see `fedmol.diffusion.census`. The vocabulary says how many classes there are."""

    atoms: Histogram
    bonds: Histogram
    sizes: Histogram


class Counts(Part):
    """What a site says of its shard."""

    molecules: Molecules  # for training
    census: CensusCounts  # of these
    seconds_per_step: Seconds | None = None  # where the steps are fitted to a time
    shard: Digest  # see `fedmol.data.shards.shard_digest`


class Joining(Message):
    """A site introduces itself: first without its shard, to be let in or not, then with the shard's counts.

    Nothing in it says more of the shard than its counts.
    """

    semantics: Semantics
    run: RunId
    peer: PeerName
    vocabulary: Digest
    manifest: Digest
    payload: Digest
    settings: SharedSettings
    counts: Counts | None = None


class Agreement(Part):
    """What the federation settled on before round 1; the same for everyone. Sites that come later are added."""

    census: CensusCounts
    molecules: dict[SiteName, Molecules]
    local_steps: Annotated[int, Field(ge=1, le=10**9)]
    shards: dict[SiteName, Digest]


class SignedChange(Part):
    """A change of the run that the coordinator has signed, see `fedmol.fl.changes`."""

    document: Annotated[str, Field(max_length=LARGEST_CHANGE)]
    signature: Signature


def read_agreement(path: Path) -> Agreement:
    """The agreement in an aggregator's folder.

    Raises:
        FedmolError: STATE_UNUSABLE when the file is missing, too large, damaged, or of an earlier protocol.
    """
    try:
        return Agreement.model_validate_json(read_json(path, _LARGEST_AGREEMENT))
    except (OSError, ValueError) as error:  # a ValidationError is one, and a DocumentError
        if isinstance(error, OSError) and error.errno not in {errno.ENOENT, *NO_FILE}:
            raise
        what = _first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{path} is not an agreement of protocol {written(PROTOCOL)}: {what}",
            "restore it from a backup of its folder, or use the fedmol that the run was made with",
        ) from None


SignedChanges = Annotated[tuple[SignedChange, ...], Field(max_length=1000)]


class Welcome(Message):
    """The answer to `Joining`: come back in a moment, or start with this agreement."""

    state: Literal["wait", "go"]
    agreement: Agreement | None = None
    manifest: RunManifest = {}  # what the run is bound to, see `fedmol.fl.run_manifest`
    changes: SignedChanges = ()  # all of the run


class Progress(Message):
    """Sent about once a second, and so a sign of life; answered with nothing."""

    run: RunId
    peer: PeerName
    round: Round | None
    phase: SitePhase
    step: Steps = 0
    steps: Steps = 0
    loss: _Number | None = None
    molecules_per_second: _Number | None = None
    seconds_left: _Number | None = None  # of the round's training
    model_digest: Digest | None = None  # of the final model, once it is here


class Probe(Message):
    """A site asks what it would meet, and does not join by that."""

    peer: PeerName


class Standing(Message):
    """The answer to `Probe`: what a site that joined now would have to agree with."""

    semantics: Semantics
    run: RunId
    time: _Number  # of the aggregator's clock, in seconds since 1970
    vocabulary: Digest
    manifest: Digest
    payload: Digest
    settings: SharedSettings


class LogAnchor(Part):
    """What the aggregator signs of its event log once a round is over, see `fedmol.fl.log_anchors`."""

    run: RunId
    round: Round
    log_seq: Annotated[int, Field(ge=0, le=2**53)]  # of the line that closes the round
    head: Digest  # of that line
    model_digest: Digest  # of the model that leaves the round
    certificate: Annotated[str, Field(max_length=LARGEST_CERTIFICATE)]  # the aggregator's, in PEM form
    signature: Signature


class OpeningRequest(Message):
    """A site asks about the open round before it takes its model."""

    run: RunId
    peer: PeerName
    changes: Annotated[int, Field(ge=0, le=10**6)] = 0  # how many of the run's changes the site knows


class RoundOpening(Message):
    """The answer to `OpeningRequest`."""

    round: Round
    digests: Annotated[dict[Section, Digest], Field(max_length=16)]  # of what the round starts from, SHA-256
    last_counted: Round | None  # the last round in which an update of the site counted
    reason: _Text | None  # why none did in the round before
    members_since: Round  # the first round of the members and shares that there are now
    changes: SignedChanges = ()  # those that the site does not know
    anchor: LogAnchor | None = None  # of the round before

    @field_validator("digests")
    @classmethod
    def _of_the_model(cls, digests: dict[str, str]) -> dict[str, str]:
        if MODEL not in digests:
            raise ValueError("the model's digest is missing")
        return digests

    @property
    def model_digest(self) -> str:
        return self.digests[MODEL]
