"""An aggregator's refusal on its way to a site: the detail text of a gRPC status, in JSON."""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict, ValidationError

from fedmol.errors import Exit, FedmolError
from fedmol.federation.versions import understood

_LONGEST, _LONGEST_TEXT = 16 * 2**10, 1000  # characters of the whole, and of each text in it
_SENT = {
    exit.slug: exit
    for exit in (
        Exit.BAD_SETTINGS,
        Exit.CERTIFICATE_EXPIRED,
        Exit.CERTIFICATE_NAME,
        Exit.CERTIFICATE_OF_ANOTHER_SITE,
        Exit.UNKNOWN_RUN,
        Exit.MODEL_DIFFERS,
        Exit.VOCABULARY_DIFFERS,
        Exit.UPDATE_REFUSED,
        Exit.CHANGE_REFUSED,
        Exit.SHARD_CHANGED,
        Exit.PROTOCOL_DIFFERS,
        Exit.REMOVED,
        Exit.MESSAGE_REFUSED,
    )
}  # with which an aggregator may end a site


class _Said(BaseModel):
    model_config = ConfigDict(strict=True)

    exit: str
    precisely: str | None = None  # a code that programs of protocol 1 do not know
    message: str
    cure: str


def encode_error(error: FedmolError) -> str:
    """An error as the detail text of a gRPC status.

    Programs of protocol 1 do not know PROTOCOL_DIFFERS, which is for them above all: they read another code.
    """
    if error.exit is Exit.PROTOCOL_DIFFERS:
        exits = {"exit": Exit.MODEL_DIFFERS.slug, "precisely": error.exit.slug}
    else:
        exits = {"exit": error.exit.slug}
    return json.dumps({**exits, "message": error.message, "cure": error.cure})


def decode_error(detail: str) -> FedmolError | None:
    """The error in a gRPC status; None when the text is not one of ours, or its exit is not an aggregator's to name.

    Its texts are bounded, and have no control characters.
    """
    if len(detail) > _LONGEST:
        return None
    try:
        said = _Said.model_validate_json(detail)
    except ValidationError:
        return None
    found = _SENT.get(said.precisely or said.exit)
    return None if found is None else understood(FedmolError(found, legible(said.message), legible(said.cure)))


def legible(text: str) -> str:
    """What another party wrote, for a person to read: a line of printable characters, cut off where it is too long."""
    line = "".join(one if one.isprintable() else " " for one in text[:_LONGEST_TEXT])
    return line if len(text) <= _LONGEST_TEXT else f"{line}..."
