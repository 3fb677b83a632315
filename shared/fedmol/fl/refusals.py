"""An aggregator's refusal on its way to a site: the detail text of a gRPC status, in JSON."""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict, ValidationError

from fedmol.errors import Exit, FedmolError
from fedmol.fl.versions import understood
from fedmol.shown import plain

_LONGEST = 16 * 2**10  # characters
_SENT = {
    exit.slug: exit
    for exit in (
        Exit.BAD_SETTINGS,
        Exit.CERTIFICATE_EXPIRED,
        Exit.CERTIFICATE_FOREIGN,
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
# What may meet a program that does not know the code yet, and the nearest one that it knows.
_NEAREST = {
    Exit.PROTOCOL_DIFFERS: Exit.MODEL_DIFFERS,
    Exit.REMOVED: Exit.CERTIFICATE_NAME,
    Exit.CERTIFICATE_FOREIGN: Exit.CERTIFICATE_NAME,
}


class _Said(BaseModel):
    model_config = ConfigDict(strict=True)

    exit: str
    precisely: str | None = None  # where `exit` is but the nearest code that older programs know
    message: str
    cure: str


def encode_error(error: FedmolError) -> str:
    """An error as the detail text of a gRPC status, which programs of all versions can read."""
    nearest = _NEAREST.get(error.exit)
    exits = {"exit": error.exit.slug} if nearest is None else {"exit": nearest.slug, "precisely": error.exit.slug}
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
    found = _SENT.get(said.precisely or "") or _SENT.get(said.exit)
    return None if found is None else understood(FedmolError(found, plain(said.message), plain(said.cure)))
