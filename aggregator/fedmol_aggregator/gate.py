"""The gate: every call of a site passes here, and every refusal leaves a line in the event log."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TypeVar

from pydantic import ValidationError

from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog
from fedmol.federation.identity import peer_name
from fedmol.federation.messages import LARGEST_ECHO, Joining, Probe, Progress, Standing, Welcome
from fedmol_aggregator.gathering import Gathering, Roster
from fedmol_aggregator.presence import Presence
from fedmol_aggregator.rounds import RoundRule

T = TypeVar("T")
M = TypeVar("M", Joining, Progress, Probe)

_PROGRESS_EVERY = 2.0  # seconds between two progress events of one site in the same phase


class Gate:
    def __init__(
        self, roster: Roster, gathering: Gathering, presence: Presence, rule: RoundRule, events: EventLog
    ) -> None:
        self.roster, self.gathering, self.presence, self.rule, self.events = roster, gathering, presence, rule, events
        self._shown: dict[str, tuple[float, str]] = {}

    def admit(self, common_name: str | None, peer: str, run: str) -> str:
        """The calling site. Raises FedmolError when certificate, name or run do not fit."""

        def check() -> str:
            site = self.roster.identify(common_name, peer)
            self.roster.check_run(run)
            return site

        site = self._auditing(common_name, check)
        self.presence.seen(site)
        return site

    def join(self, common_name: str | None, request: bytes) -> bytes:
        """A site introduces itself and, once everyone has, learns the agreement."""

        def check() -> tuple[str, Joining]:
            joining = _read(Joining, request)
            site = self.roster.identify(common_name, joining.peer)
            self.roster.examine(joining)
            return site, joining

        site, joining = self._auditing(common_name, check)
        self.presence.seen(site)
        agreement = self.gathering.join(site, joining)
        return Welcome(state="go" if agreement else "wait", agreement=agreement).encode()

    def report(self, common_name: str | None, request: bytes) -> bytes:
        """A sign of life, with progress."""
        progress = _read(Progress, request)
        site = self.admit(common_name, progress.peer, progress.run)
        if progress.phase == "failed":
            self.presence.left(site)
        now, (then, phase) = self.presence.clock(), self._shown.get(site, (float("-inf"), ""))
        if progress.phase != phase or now - then >= _PROGRESS_EVERY:
            self._shown[site] = (now, progress.phase)
            fields = progress.model_dump(exclude={"run", "peer", "round", "phase"}, exclude_none=True)
            self.events.write("site_progress", site=site, round=progress.round, phase=progress.phase, **fields)
        return b""

    def probe(self, common_name: str | None, request: bytes) -> bytes:
        """A site tries the way before it joins: it passes the same checks, but is neither seen nor let in by that."""
        self._auditing(common_name, lambda: self.roster.identify(common_name, _read(Probe, request).peer))
        return Standing(run=self.roster.run, time=time.time(), **self.roster.expected).encode()

    def echo(self, common_name: str | None, request: bytes) -> bytes:
        """What was sent, for a site to measure its line by."""
        self._auditing(common_name, lambda: self.roster.identify(common_name, peer_name(common_name or "")))
        if len(request) > LARGEST_ECHO:
            raise FedmolError(
                Exit.USAGE, f"an echo of {len(request)} bytes was asked for", f"send {LARGEST_ECHO} at most"
            )
        return request

    def check_quorum(self, reported: Collection[str]) -> None:
        """Raises FedmolError QUORUM_LOST once a deadline has passed with too few sites."""
        if self.gathering.agreement is None:
            self.rule.restart()  # the first round's clock starts when everyone is here
            if self.gathering.overdue():
                raise self._quorum_lost(len(self.gathering.joined), "joined")
        elif self.rule.hopeless(reported):
            raise self._quorum_lost(len(reported), "reported in this round")

    def _quorum_lost(self, count: int, what: str) -> FedmolError:
        return FedmolError(
            Exit.QUORUM_LOST,
            f"only {count} of {len(self.rule.sites)} sites have {what} before the deadline; "
            f"the quorum is {self.rule.quorum}",
            "bring the missing sites back and start the aggregator again: the run goes on where it was",
        )

    def _auditing(self, common_name: str | None, check: Callable[[], T]) -> T:
        try:
            return check()
        except FedmolError as refusal:
            self.events.write(
                "site_refused", site=common_name or "nobody", reason=refusal.exit.slug, detail=refusal.message
            )
            raise


def _read(kind: type[M], request: bytes) -> M:
    try:
        return kind.model_validate_json(request)
    except ValidationError:
        raise FedmolError(
            Exit.MODEL_DIFFERS,
            "the site speaks another version of fedmol's protocol",
            "install the same version of fedmol on both sides",
        ) from None
