"""What a site and the aggregator say to each other beside OpenFL's own protocol: joining, progress, and trying.

They travel as JSON over the same mTLS port, as the gRPC service `fedmol.Federation`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fedmol.errors import Exit, FedmolError

SERVICE = "fedmol.Federation"
JOIN = "Join"
REPORT = "Report"
PROBE = "Probe"
OPENING = "Opening"
ECHO = "Echo"  # the only call whose body is not JSON: bytes, which come back as they are
LARGEST_ECHO = 2**20  # bytes
LARGEST_CONTROL = 64 * 2**10  # bytes of any other request
LARGEST_CHANGE = 16 * 2**10  # characters


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


class Joining(Message):
    """A site introduces itself: first without its shard, to be let in or not, then with the shard's counts.

    Nothing in it says more of the shard than its counts.
    """

    run: str
    peer: str
    model_code: str
    vocabulary: str
    manifest: str
    payload: str
    settings: dict[str, Any]
    molecules: Annotated[int, Field(ge=0, le=10**9)] = 0
    census: dict[str, Any] | None = None
    seconds_per_step: float | None = None


class Agreement(Message):
    """What the federation settled on before round 1; the same for everyone, and for ever in this run."""

    census: dict[str, Any]
    molecules: dict[str, int]
    local_steps: int


class SignedChange(Message):
    """A change of the run that the coordinator has signed, see `fedmol.federation.changes`."""

    document: Annotated[str, Field(max_length=LARGEST_CHANGE)]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{2,1024}$")]


class Welcome(Message):
    """The answer to `Joining`: come back in a moment, or start with this agreement."""

    state: Literal["wait", "go"]
    agreement: Agreement | None = None
    manifest: dict[str, Any] = {}  # what the run is bound to, see `fedmol.federation.manifest`
    changes: tuple[SignedChange, ...] = ()  # all of the run


class Progress(Message):
    """Sent about once a second, and so a sign of life; answered with nothing."""

    run: str
    peer: str
    round: int | None
    phase: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    molecules_per_second: float | None = None
    seconds_left: float | None = None  # of the round's training
    model_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None  # of the final model, once it is here


class Probe(Message):
    """A site asks what it would meet, and does not join by that."""

    peer: str


class Standing(Message):
    """The answer to `Probe`: what a site that joined now would have to agree with."""

    run: str
    time: float  # of the aggregator's clock, in seconds since 1970
    model_code: str
    vocabulary: str
    manifest: str
    payload: str
    settings: dict[str, Any]


class OpeningRequest(Message):
    """A site asks about the open round before it takes its model."""

    run: str
    peer: str
    changes: Annotated[int, Field(ge=0)] = 0  # how many of the run's changes the site knows


class RoundOpening(Message):
    """The answer to `OpeningRequest`."""

    round: int
    model_digest: str  # SHA-256 of the model that the round starts from
    last_counted: int | None  # the last round in which an update of the site counted
    reason: str | None  # why none did in the round before
    changes: tuple[SignedChange, ...] = ()  # those that the site does not know


def encode_error(error: FedmolError) -> str:
    """An error as the detail text of a gRPC status."""
    return json.dumps({"exit": error.exit.slug, "message": error.message, "cure": error.cure})


def decode_error(detail: str) -> FedmolError | None:
    """The error in a gRPC status, or None when the text is not one of ours."""
    try:
        said = json.loads(detail)
        return FedmolError(Exit[said["exit"].upper().replace("-", "_")], said["message"], said["cure"])
    except (ValueError, KeyError, TypeError):
        return None
