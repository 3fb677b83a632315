"""The state of a federation as its event log tells it, one event at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fedmol.events import Event


@dataclass
class SiteStatus:
    phase: str = "not seen yet"
    round: int | None = None
    step: int = 0
    steps: int = 0
    loss: float | None = None
    molecules_per_second: float | None = None
    seconds_left: float | None = None  # of the round's training
    molecules: int = 0
    sent_bytes: int = 0


@dataclass
class FederationStatus:
    run: str = ""
    round: int = 0
    rounds: int = 0
    sites: dict[str, SiteStatus] = field(default_factory=dict)
    finished: list[Event] = field(default_factory=list)  # the round_finished events
    refusals: list[Event] = field(default_factory=list)

    def follow(self, events: Iterable[Event]) -> None:
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take up one event; kinds that show nothing here are passed over."""
        handler = getattr(self, f"_{event.kind}", None)
        if handler is not None:
            handler(event)

    @property
    def seconds_left(self) -> float | None:
        """At the mean pace of the rounds so far; None before the first round has ended."""
        if not self.finished:
            return None
        mean = sum(event.fields["seconds"] for event in self.finished) / len(self.finished)
        return float(mean * (self.rounds - len(self.finished)))

    def _site(self, event: Event) -> SiteStatus:
        return self.sites.setdefault(event.site, SiteStatus())

    def _run_started(self, event: Event) -> None:
        self.run, self.rounds = event.run, event.fields["rounds"]
        for site in event.fields["sites"]:
            self.sites.setdefault(site, SiteStatus())

    def _site_joined(self, event: Event) -> None:
        site = self._site(event)
        site.phase, site.molecules = "joined", event.fields["molecules"]

    def _site_progress(self, event: Event) -> None:
        site = self._site(event)
        site.phase, site.round = event.phase or "", event.round
        site.step, site.steps = event.fields.get("step", 0), event.fields.get("steps", 0)
        site.loss = event.fields.get("loss", site.loss)
        site.molecules_per_second = event.fields.get("molecules_per_second")
        site.seconds_left = event.fields.get("seconds_left")

    def _round_started(self, event: Event) -> None:
        self.round = event.round or 0

    def _update_received(self, event: Event) -> None:
        site = self._site(event)
        site.phase, site.sent_bytes = "waiting", site.sent_bytes + event.fields["bytes"]

    def _update_refused(self, event: Event) -> None:
        self._site(event).phase = "refused"

    def _site_lost(self, event: Event) -> None:
        self._site(event).phase = "lost"

    def _site_returned(self, event: Event) -> None:
        self._site(event).phase = "returned"

    def _site_refused(self, event: Event) -> None:
        self.refusals.append(event)

    def _round_finished(self, event: Event) -> None:
        self.finished.append(event)
