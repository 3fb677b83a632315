"""Every kind of event, as a closed record: its fields, their types, units and bounds.

`KINDS` has the record of each, by what the log calls it.
"""

from types import MappingProxyType

from fedmol.telemetry.events import round_events, run_events, site_events
from fedmol.telemetry.events.event_record import _KINDS

KINDS = MappingProxyType(_KINDS)

__all__ = ["KINDS", "round_events", "run_events", "site_events"]
