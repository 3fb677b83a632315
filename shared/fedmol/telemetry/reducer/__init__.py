"""The one reducer: each event of a log moves what is known of the run a little on.

Whatever a log holds, nothing here raises: kinds of a later version are passed over, events that are not what their kind
is are counted, and what is known keeps within bounds.
"""

from __future__ import annotations

from datetime import datetime

from fedmol.telemetry.events.event_record import Misread
from fedmol.telemetry.events.run_events import RunStarted
from fedmol.telemetry.log import AnyEvent
from fedmol.telemetry.reducer import round_handlers, run_handlers, site_handlers
from fedmol.telemetry.reducer.handling import Surplus, handle
from fedmol.telemetry.state import Run

__all__ = ["apply", "round_handlers", "run_handlers", "site_handlers"]


def apply(run: Run, event: AnyEvent) -> None:
    """Take up one event."""
    time = datetime.fromisoformat(event.time).timestamp()
    run.last_event = time
    if run.began is None:
        run.run, run.owner, run.began = event.run, event.site, time
        run.role = "aggregator" if event.kind == RunStarted.kind else "site"
    if isinstance(event.body, Misread):
        run.misfit(event.seq + 1, event.body.what)
        return
    try:
        handle(run, event, time)
    except Surplus as surplus:
        run.misfit(event.seq + 1, f"{event.kind}: {surplus}")
