"""What an event says beyond its head: a closed record of its kind.

A kind is declared where its record is, and nowhere else:

    class SiteLost(Record, kind="site_lost", incident="site lost"):
        silent_seconds: Seconds

        def words(self) -> str:
            return f"silent for {duration(self.silent_seconds)}, then given up"

That is all that is needed to write one, to read it, and to show it among the incidents on the console, on the page and
in the report. What moves the state of the run on has a handler besides, see `fedmol.telemetry.reducer`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fedmol.shown import plain
from fedmol.telemetry.events.field_types import WRITING, Moment, Times


class Record(BaseModel):
    """The fields of one kind of event, or a part of them. The event's head has the site and the round it is about.

    Made by the program, it is fit to be written, see `fedmol.telemetry.events.field_types`.

    Raises:
        TypeError: a field has another type, is missing, or is none of the record's: an error of the program.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    kind: ClassVar[str] = ""  # what the log calls it; a part of a record has none
    of_a_round: ClassVar[bool] = False  # the head has to name one
    incident: ClassVar[str] = ""  # what it is called where it did not go as planned

    def __init_subclass__(cls, kind: str = "", of_a_round: bool = False, incident: str = "", **rest: Any) -> None:
        super().__init_subclass__(**rest)
        cls.kind, cls.of_a_round, cls.incident = kind, of_a_round, incident
        if kind:
            if kind in _KINDS:
                raise TypeError(f"two records are of the kind {kind}")
            _KINDS[kind] = cls

    def __init__(self, /, **fields: Any) -> None:
        try:
            self.__pydantic_validator__.validate_python(fields, self_instance=self, context=WRITING, extra="forbid")
        except ValidationError as error:
            raise TypeError(f"this is not the record {type(self).__name__}: {wrong(error)}") from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # reading does without it

    def words(self) -> str:
        """What an incident tells people beside what it is called."""
        return ""

    def said(self) -> dict[str, Any]:
        """The fields that have been set, in the order of the record, as plain data."""
        return self.model_dump(exclude_unset=True)


_KINDS: dict[str, type[Record]] = {}


class Repeated(Record):
    """What adds up, see `fedmol.telemetry.repeats`: it is written up to a minute after it happened."""

    times: Times = 1  # that it happened
    last: Moment | None = None  # when it last happened; without it, when the event was written


class OfLaterVersion(Record):
    """An event that was read, of a kind that is not known here."""


class Misread(Record):
    """An event that was read, whose fields are not those of its kind."""

    what: str  # the first that is wrong


def told(kind: str, round: int | None, fields: dict[str, Any]) -> Record:
    """The record of an event that was read. Fields of a later version are passed over."""
    record = _KINDS.get(kind)
    if record is None:
        return OfLaterVersion()
    if record.of_a_round and round is None:
        return Misread(what=f"{kind} has no round")
    try:
        return record.model_validate(fields, extra="ignore")
    except ValidationError as error:
        return Misread(what=f"{kind}: {wrong(error)}")


def wrong(error: ValidationError) -> str:
    """The first thing that is wrong, in a few words."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return plain(f"{where}: {first['msg']}", 200)
