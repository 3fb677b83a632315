"""Which handler takes up an event, and what happens to those that have none: they are told, if they are incidents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fedmol.telemetry.events.event_record import Record, Repeated
from fedmol.telemetry.events.field_types import MOST_SITES, moment
from fedmol.telemetry.incidents import Incident
from fedmol.telemetry.log import AnyEvent, Event
from fedmol.telemetry.state import Run, Site

Kind = TypeVar("Kind", bound=Record)
Handler = Callable[[Run, Event[Kind], float], None]  # the float: when the event was written

_HANDLERS: dict[type[Record], Handler[Any]] = {}


class Surplus(Exception):
    """The event is about more sites than a run can have."""


def handles(kind: type[Kind]) -> Callable[[Handler[Kind]], Handler[Kind]]:
    """The function below takes up events of the kind."""

    def register(handler: Handler[Kind]) -> Handler[Kind]:
        _HANDLERS[kind] = handler
        return handler

    return register


def handle(run: Run, event: AnyEvent, time: float) -> None:
    """Raises Surplus."""
    handler = _HANDLERS.get(type(event.body))
    if handler is not None:
        handler(run, event, time)
    elif event.body.incident:
        report(run, event, time)


def report(
    run: Run, event: AnyEvent, time: float, *, round: int | None = None, what: str = "", detail: str | None = None
) -> None:
    """The event is an incident; `round`, `what` and `detail` say better than it does itself."""
    body = event.body
    run.report(
        Incident(
            happened(time, body),
            what or body.incident,
            "" if run.role == "aggregator" and event.site == run.owner else event.site,
            event.round if round is None else round,
            body.words() if detail is None else detail,
            body.times if isinstance(body, Repeated) else 1,
        )
    )


def happened(time: float, body: Record) -> float:
    """When what the event tells of happened last; it was written at `time`."""
    last = body.last if isinstance(body, Repeated) else None
    return time if last is None else min(time, moment(last).timestamp())


def site_of(run: Run, name: str) -> Site:
    """Raises Surplus."""
    if name not in run.sites and len(run.sites) >= MOST_SITES:
        raise Surplus("more sites than a run can have")
    return run.site(name)


def number(event: AnyEvent) -> int:
    """The round of an event that has one, see `Record.of_a_round`."""
    assert event.round is not None
    return event.round
