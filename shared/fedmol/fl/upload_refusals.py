"""Uploads that are refused, or too late, in the event log: each kind at once, and then how often, once a minute."""

from __future__ import annotations

import time
from collections.abc import Callable

from fedmol.errors import Exit, FedmolError
from fedmol.telemetry.events.round_events import UpdateLate, UpdateRefused
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.repeats import Repeats

_MOST_KINDS = 4096  # by site and round: all come from members


class UploadRefusals:
    """`current` is the open round."""

    def __init__(self, events: EventLog, clock: Callable[[], float] = time.monotonic) -> None:
        self.repeats = Repeats(events, _MOST_KINDS, clock)

    def late(self, site: str, round: int, current: int) -> None:
        """An upload for `round`, which is over."""
        if 0 < round <= current:
            self.repeats.note(UpdateLate(), site, _which(round, current), round)

    def refused(self, site: str, round: int, reason: str, current: int) -> None:
        """An upload is refused."""
        self.repeats.note(UpdateRefused(reason=reason), site, _which(round, current), round)


def refusal(site: str, round: int, what: str) -> FedmolError:
    """The error for an upload that is not even one."""
    reason = f"the upload of {site} in round {round} is refused: {what}"
    return FedmolError(Exit.UPDATE_REFUSED, reason, "install the same version of fedmol on both sides")


def _which(round: int, current: int) -> str:
    """The newest two rounds get events of their own; older ones can be named in any number."""
    return f"{round}" if round >= current - 1 else "older"
