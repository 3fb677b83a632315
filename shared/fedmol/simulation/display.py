"""The live display of a federation: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedmol.events import Event
from fedmol.federation.status import FederationStatus, SiteStatus
from fedmol.formats import duration, misses, size


class Display:
    """Shown as long as the `with` block lasts; fed with the events as they come."""

    def __init__(self, console: Console, status: FederationStatus) -> None:
        self.console, self.status = console, status
        self._live = (
            Live(console=console, refresh_per_second=4, get_renderable=self._render) if console.is_terminal else None
        )

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, events: list[Event]) -> None:
        self.status.follow(events)
        for event in events:
            line = describe(event, self.status)
            if line and (self._live is None or event.kind not in ("round_started", "site_progress")):
                self.note(line)

    def note(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def _render(self) -> Group:
        return Group(_heading(self.status), _sites(self.status))


def _heading(status: FederationStatus) -> Text:
    left = status.seconds_left
    eta = f", about {duration(left)} left" if left is not None else ""
    return Text(f"round {status.round} of {status.rounds}{eta}", style="bold")


def _sites(status: FederationStatus) -> Table:
    table = Table(
        "site", "molecules", "phase", "", "loss", "molecules/s", "left", "sent", box=None, padding=(0, 2, 0, 0)
    )
    for name, site in sorted(status.sites.items()):
        bar = ProgressBar(total=site.steps or 1, completed=site.step if site.phase == "training" else 0, width=24)
        table.add_row(
            name,
            f"{site.molecules:,}" if site.molecules else "",
            _phase(site),
            bar if site.phase == "training" else "",
            f"{site.loss:.3f}" if site.loss is not None else "",
            f"{site.molecules_per_second:,.0f}" if site.molecules_per_second else "",
            duration(site.seconds_left) if site.seconds_left is not None else "",
            size(site.sent_bytes),
        )
    return table


def _phase(site: SiteStatus) -> str:
    return f"{site.phase} {site.step}/{site.steps}" if site.phase == "training" and site.steps else site.phase


def describe(event: Event, status: FederationStatus) -> str | None:
    """The event as a line for people; None for those that only move the display."""
    said = event.fields
    match event.kind:
        case "site_joined":
            return f"{event.site} joined with {said['molecules']:,} molecules"
        case "agreement":
            shares = ", ".join(f"{site} {weight:.3f}" for site, weight in said["weights"].items())
            return f"agreed: {said['local_steps']} steps a round, weights {shares}"
        case "round_finished":
            absent = f", without {', '.join(said['missing'])}" if said["missing"] else ""
            left = status.seconds_left
            eta = f", about {duration(left)} left" if left else ""
            return (
                f"round {event.round or said['round']} of {status.rounds}: loss {said['loss']:.3f}, NLL on entering "
                f"{said['nll']:.2f}, {said['seconds']:.1f} s{absent}{eta}"
            )
        case "site_refused":
            return f"refused {event.site}: {said['reason']} ({said['detail']})"
        case "update_refused":
            return f"refused the update of {event.site}: {said['reason']}"
        case "update_not_counted":
            return f"did not count {event.site}'s update of round {event.round}: it moved the model too far"
        case "state_damaged":
            return f"damaged: {said['file']}: {said['detail']}"
        case "state_rebuilt":
            return f"made again: {said['file']}"
        case "site_lost":
            return f"{event.site} is lost: silent for {said['silent_seconds']:.0f} s"
        case "site_returned":
            return f"{event.site} is back"
        case "run_finished":
            absent = f", {misses(said['missed_rounds'])}" if said["missed_rounds"] else ""
            return f"finished {said['rounds']} rounds: {said['outcome']}{absent}"
    return None
