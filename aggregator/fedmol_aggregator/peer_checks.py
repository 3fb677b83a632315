"""The gate: what a site that was admitted says of itself is checked here against its certificate and the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Literal

from fedmol.errors import Exit, FedmolError
from fedmol.fl.changes import Changes
from fedmol.fl.liveness import Liveness
from fedmol.fl.log_anchors import AnchoredLine
from fedmol.fl.messages import (
    Joining,
    LogAnchor,
    OpeningRequest,
    Probe,
    Progress,
    RoundOpening,
    Standing,
    Welcome,
    read,
)
from fedmol.fl.opening import Opening
from fedmol.fl.payload import MODEL
from fedmol.fl.rounds import RoundRule
from fedmol.telemetry.events.site_events import SiteProgress
from fedmol.telemetry.log import EventLog
from fedmol_aggregator.enrollment import Enrollment, Roster
from fedmol_aggregator.progress_log import ProgressLog
from fedmol_aggregator.refusal_log import RefusalLog

_TOLD = {"step", "steps", "loss", "molecules_per_second", "seconds_left", "model_digest"}


class PeerChecks:
    def __init__(
        self,
        roster: Roster,
        enrollment: Enrollment,
        liveness: Liveness,
        rule: RoundRule,
        refusal_log: RefusalLog,
        events: EventLog,
        changes: Changes,
        anchor: Callable[[AnchoredLine], LogAnchor],
    ) -> None:
        self.roster, self.enrollment, self.liveness, self.rule = roster, enrollment, liveness, rule
        self.refusal_log, self.events, self.changes = refusal_log, events, changes
        self.anchor = anchor
        self.signs = ProgressLog(liveness.clock)

    def admit(self, site: str, peer: str, run: str) -> None:
        """A call of `site`, whose certificate has been seen, for a run. Raises FedmolError when name or run differ."""

        def check() -> None:
            self.roster.check_peer(site, peer)
            self.roster.check_run(run)

        self.refusal_log.checking(site, check)
        self.liveness.seen(site)

    def join(self, site: str, request: bytes) -> bytes:
        """A site introduces itself and, once everyone has, learns the agreement."""

        def check() -> Joining:
            joining = read(Joining, request, "the site")
            self.roster.check_peer(site, joining.peer)
            self.roster.examine(joining)
            return joining

        joining = self.refusal_log.checking(site, check)
        self.liveness.seen(site)
        agreement = self.refusal_log.checking(site, lambda: self.enrollment.join(site, joining))
        state: Literal["go", "wait"] = "go" if agreement else "wait"
        said = Welcome(
            state=state, agreement=agreement, manifest=self.changes.manifest, changes=tuple(self.changes.signed)
        )
        return said.encode()

    def report(self, site: str, request: bytes, round: int) -> Progress:
        """A sign of life, with progress, while `round` is open."""
        progress = self.refusal_log.checking(site, lambda: read(Progress, request, "the site"))
        self.admit(site, progress.peer, progress.run)
        if progress.phase == "failed":
            self.liveness.left(site)
        if self.signs.worth_an_event(site, progress.phase, round):
            fields = progress.model_dump(include=_TOLD, exclude_none=True)
            self.events.write(SiteProgress(**fields), site=site, round=progress.round, phase=progress.phase)
        return progress

    def probe(self, site: str, request: bytes) -> bytes:
        """A site tries the way before it joins: it passes the same checks, but is neither seen nor let in by that."""
        self.refusal_log.checking(site, lambda: self.roster.check_peer(site, read(Probe, request, "the site").peer))
        return Standing(run=self.roster.run, time=time.time(), **self.roster.expected).encode()

    def opening(self, site: str, request: bytes, opening: Opening) -> bytes:
        """What a site should know of the open round."""
        asked = self.refusal_log.checking(site, lambda: read(OpeningRequest, request, "the site"))
        self.admit(site, asked.peer, asked.run)
        said = RoundOpening(
            round=opening.round,
            digests=opening.digests,
            last_counted=opening.last_counted,
            reason=opening.reason,
            members_since=opening.members_since,
            changes=tuple(self.changes.signed[asked.changes :]),
            anchor=self._anchor(opening),
        )
        return said.encode()

    def _anchor(self, opening: Opening) -> LogAnchor | None:
        closing = opening.closing
        if closing is None:
            return None
        before, model_digest = opening.round - 1, opening.digests[MODEL]
        return self.anchor(AnchoredLine(self.roster.run, before, closing.seq, closing.head, model_digest))

    def check_quorum(self, reported: Collection[str]) -> None:
        """Raises FedmolError QUORUM_LOST once too few sites can come in time."""
        if self.enrollment.agreement is None:
            self.rule.restart()  # the first round's clock starts when everyone is here
            if self.enrollment.overdue():
                raise self._quorum_lost(len(self.enrollment.joined), "joined")
        elif self.rule.hopeless(reported):
            raise self._quorum_lost(len(reported), "reported in this round")

    def _quorum_lost(self, count: int, what: str) -> FedmolError:
        return FedmolError(
            Exit.QUORUM_LOST,
            f"only {count} of {len(self.rule.sites)} sites have {what}, and the others are too late or have failed; "
            f"the quorum is {self.rule.quorum}",
            "bring the missing sites back and start the aggregator again: the run continues where it was",
        )
