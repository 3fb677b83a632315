"""The types of the fields of events, with their bounds.

A record that the program makes is made fit to be written: texts are made printable and cut, numbers are bounded. In one
that is read nothing is mended: what is out of bounds is wrong.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from fedmol.shown import plain

LARGEST = 2**53  # of whole numbers: beyond it JavaScript cannot count
MOST_SITES = 1000
LONGEST_NAME, LONGEST_TEXT, MOST_BYTES = 64, 512, 600  # characters; bytes of a text as JSON
LONGEST_MOMENT = 40  # characters
WRITING = {"writing": True}  # the context in which a record is made to be written
_EARLIEST, _LATEST = "2000", "2100"  # years: what is reckoned with times stays within bounds
_GREATEST, _LONGEST_TIME = 1e300, 1e9  # so that differences and sums stay finite, too; seconds


def _writing(info: ValidationInfo) -> bool:
    return info.context is WRITING


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


Text = Annotated[str, _cut(LONGEST_TEXT), Field(max_length=LONGEST_TEXT)]  # text, 512 characters at most
Name = Annotated[str, _cut(LONGEST_NAME), Field(max_length=LONGEST_NAME)]  # text, 64 characters at most
Digest = Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]  # SHA-256 in hex
Count = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=LARGEST)]  # whole number
_Number = Annotated[float, Field(ge=-_GREATEST, le=_GREATEST)]
Number = Annotated[_Number | None, _finite(_GREATEST)]  # number, or null
_Seconds = Annotated[float, Field(ge=-_LONGEST_TIME, le=_LONGEST_TIME)]
Seconds = Annotated[_Seconds | None, _finite(_LONGEST_TIME)]  # seconds, or null
Names = Annotated[list[Name], Field(max_length=MOST_SITES)]  # list of names
Counts = Annotated[Mapping[Name, Count], Field(max_length=MOST_SITES)]  # whole numbers by site
Numbers = Annotated[Mapping[Name, Number], Field(max_length=MOST_SITES)]  # numbers by site
Digests = Annotated[Mapping[Name, Digest], Field(max_length=MOST_SITES)]  # SHA-256 by section or site
Histogram = Annotated[list[Count], Field(max_length=2**13)]  # list of whole numbers, by class
Times = Annotated[Count, Field(ge=1)]  # whole number
Moment = Annotated[str, Field(max_length=LONGEST_MOMENT), AfterValidator(_checked)]  # time, ISO 8601, as in the head
Manifest = Annotated[Mapping[Name, Any], Field(max_length=1000)]  # values of settings by name


def known(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are numbers."""
    return {name: value for name, value in figures.items() if value is not None}
