"""The anchors of the aggregator's event log that this site keeps in its own log, one for each round it was told of.

With them it can show later what the aggregator's log was when the round was over, see `fedmol.fl.log_anchors`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from fedmol.errors import Exit, FedmolError
from fedmol.fl.log_anchors import AnchoredLine, event_of, kept, signer
from fedmol.fl.messages import LogAnchor, RoundOpening
from fedmol.fl.versions import ANCHORS, parsed
from fedmol.pki.pem import read_certificate
from fedmol.telemetry import queries
from fedmol.telemetry.events.round_events import LogAnchored
from fedmol.telemetry.log import EventLog

log = logging.getLogger("fedmol.site")


class KnownAnchors:
    """`authority` is the certificate that this site trusts, `address` the host that it knows the aggregator by."""

    def __init__(self, run: str, address: str, authority: Path, events: EventLog) -> None:
        self.run, self.address, self.authority, self.events = run, address, authority, events
        self._held = _newest(events)

    def take(self, opening: RoundOpening) -> None:
        """Write down the anchor that comes with the opening, if it can be one and is new. The caller syncs the log.

        Raises:
            FedmolError: AGREEMENT_BROKEN when it is missing, not the aggregator's, about something else, or not what
                the site was told before.
        """
        anchor = opening.anchor
        if anchor is None:
            self._do_without(opening)
            return
        self._check(anchor, opening)
        line = AnchoredLine.of(anchor)
        if line != self._held:
            self.events.write(event_of(anchor), round=line.round)
            self._held = line

    def _do_without(self, opening: RoundOpening) -> None:
        """An aggregator of an earlier release sends none, and none is there before the first round is over."""
        if opening.round == 1:
            return
        if parsed(opening.protocol) >= ANCHORS:
            raise _broken(opening.round - 1, "is missing")
        if self._held is not None:
            log.warning(
                "the aggregator no longer signs its event log, as an earlier release; this site keeps anchors up to "
                "round %d",
                self._held.round,
            )

    def _check(self, anchor: LogAnchor, opening: RoundOpening) -> None:
        round, held = opening.round - 1, self._held
        if (anchor.run, anchor.round) != (self.run, round):
            raise _broken(round, f"is that of round {anchor.round} of run {anchor.run!r}")
        if anchor.model_digest != opening.model_digest:
            said, opened = anchor.model_digest[:12], opening.model_digest[:12]
            raise _broken(round, f"is for the model {said}, and round {opening.round} opens with {opened}")
        authority = read_certificate(self.authority)
        try:
            signer(anchor, [authority], self.address)
        except FedmolError as foreign:
            raise _broken(round, f"is not the aggregator's: {foreign.message}") from None
        if held is None or AnchoredLine.of(anchor) == held:
            return
        if round < held.round:
            raise _broken(round, f"comes after that of round {held.round}")
        if round == held.round:
            raise _broken(round, f"names line {_line(anchor)}, and named line {_line(held)} before")
        if anchor.log_seq <= held.log_seq:
            raise _broken(round, f"names line {_line(anchor)}, and that of round {held.round} line {_line(held)}")


def _line(anchor: LogAnchor | AnchoredLine) -> str:
    return f"{anchor.log_seq + 1} ({anchor.head[:12]})"


def _newest(events: EventLog) -> AnchoredLine | None:
    """The anchor of the latest round that the site's log has of this run."""
    own = queries.logged(events.path, LogAnchored, events.run)
    return max((AnchoredLine.of(kept(event)) for event in own), key=lambda line: line.round, default=None)


def _broken(round: int, what: str) -> FedmolError:
    return FedmolError(
        Exit.AGREEMENT_BROKEN,
        f"the aggregator's signature under its event log of round {round} {what}",
        "ask the coordinator what became of the aggregator's event log, and keep this site's: it holds what was signed",
    )
