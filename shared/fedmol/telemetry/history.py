"""A whole log: the state that it leads to, with every round and incident, and what an account of the run quotes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fedmol.telemetry.events.run_events import RunStarted, SettingsChanged
from fedmol.telemetry.log import Event, read_as_is
from fedmol.telemetry.queries import of_kind
from fedmol.telemetry.reducer import apply
from fedmol.telemetry.state import WHOLE, Run


@dataclass
class History:
    """Without a log, that of a run of which nothing is known."""

    run: Run = field(default_factory=lambda: Run(WHOLE))
    start: Event[RunStarted] | None = None  # the first
    changes: list[Event[SettingsChanged]] = field(default_factory=list)


def read_history(log: Path) -> History:
    """Raises FedmolError as `fedmol.telemetry.log.read_as_is` does."""
    history = History()
    for event in read_as_is(log):
        apply(history.run, event)
        history.changes += of_kind([event], SettingsChanged)
        history.start = history.start or next(of_kind([event], RunStarted), None)
    return history
