"""What a site is told when a round opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fedmol.fl.checkpoints import Checkpoint
from fedmol.telemetry.log import LogPosition


@dataclass(frozen=True)
class Opening:
    """The round that is open, and what became of the site's last update."""

    round: int
    digests: dict[str, str]  # of the sections that the round starts from
    last_counted: int | None  # the last round in which an update of the site counted
    reason: str | None  # why none did in the round before
    members_since: int  # the first round of the members, with the shares, that there are now
    closing: LogPosition | None  # the line of the event log that closed the round before

    @classmethod
    def of(cls, site: str, last: Checkpoint, closing: LogPosition | None) -> Self:
        """For `site`, of the round after `last`."""
        account, reason = last.account, None
        counted = account.last_counted.get(site)
        if site in account.excluded:
            reason = "it moved too far (rounds.max_update_norm_ratio)"
        elif last.round > 0 and counted != last.round:
            reason = "it was not there when the round was closed"
        return cls(last.round + 1, last.digests, counted, reason, account.members_since, closing)
