"""What a log says of its own past, for whoever goes on from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar, cast

from fedmol.telemetry.events.event_record import Record
from fedmol.telemetry.log import AnyEvent, Event, read

Kind = TypeVar("Kind", bound=Record)


def of_kind(events: Iterable[AnyEvent], kind: type[Kind]) -> Iterator[Event[Kind]]:
    """Those whose record is a `kind`."""
    return (cast("Event[Kind]", event) for event in events if isinstance(event.body, kind))


def logged(log: Path, kind: type[Kind], run: str | None = None) -> Iterator[Event[Kind]]:
    """The events of a kind in the log, of one run or of any. Raises as `fedmol.telemetry.log.read` does."""
    return (event for event in of_kind(read(log), kind) if run in (None, event.run))


def first(log: Path, kind: type[Kind], run: str | None = None) -> Event[Kind] | None:
    """The first event of a kind. Raises as `fedmol.telemetry.log.read` does."""
    return next(logged(log, kind, run), None)


def last(log: Path, kind: type[Kind], run: str | None = None) -> Event[Kind] | None:
    """The last event of a kind. Raises as `fedmol.telemetry.log.read` does."""
    found = None
    for event in logged(log, kind, run):
        found = event
    return found
