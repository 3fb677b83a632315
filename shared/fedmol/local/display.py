"""The live display of a federation: a table on a terminal, plain lines elsewhere.

It reads the state that page and metrics read. Whatever others wrote is text here, and never markup or a control code.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedmol.formats import duration, fixed, misses, number, size
from fedmol.shown import plain
from fedmol.telemetry import events
from fedmol.telemetry.events import Misfit, Record, told
from fedmol.telemetry.log import Event
from fedmol.telemetry.reducer import apply, described
from fedmol.telemetry.state import Run, Site
from fedmol.telemetry.verdict import seconds_left, site_state

_LONGEST = 500  # characters of a line
_QUIET = ("round_started", "site_progress")  # events that a table on a terminal shows by itself


class Display:
    """Shown as long as the `with` block lasts; fed with the events as they come."""

    def __init__(self, console: Console) -> None:
        self.console, self.run = console, Run()
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

    def follow(self, events: Iterable[Event]) -> None:
        """Take events up without a word: they have been shown before."""
        for event in events:
            apply(self.run, event)

    def show(self, events: Iterable[Event]) -> None:
        for event in events:
            apply(self.run, event)
            line = describe(event, self.run)
            if line and (self._live is None or event.kind not in _QUIET):
                self.note(line)

    def note(self, text: str) -> None:
        self.console.print(Text(plain(text, _LONGEST)), soft_wrap=True)

    def _render(self) -> Group:
        now = time.time()
        return Group(_heading(self.run, now), _sites(self.run, now))


def _heading(run: Run, now: float) -> Text:
    left = seconds_left(run, now)
    eta = f", about {duration(left)} left" if left is not None else ""
    return Text(f"round {run.round} of {run.rounds_target or 0}{eta}", style="bold")


def _sites(run: Run, now: float) -> Table:
    table = Table(
        "site", "molecules", "phase", "", "loss", "molecules/s", "left", "sent", box=None, padding=(0, 2, 0, 0)
    )
    for name, site in sorted(run.sites.items()):
        state, _ = site_state(site, run, now)
        training = state == "training"
        table.add_row(
            Text(plain(name)),
            f"{site.molecules:,}" if site.molecules else "",
            _phase(site, state),
            ProgressBar(total=site.steps or 1, completed=site.step, width=24) if training else "",
            fixed(site.loss, 3) if site.loss is not None else "",
            fixed(site.molecules_per_second, 0) if training and site.molecules_per_second is not None else "",
            duration(site.seconds_left) if training and site.seconds_left is not None else "",
            size(site.sent_bytes),
        )
    return table


def _phase(site: Site, state: str) -> str:
    return f"training {site.step}/{site.steps}" if state == "training" and site.steps else state


def describe(event: Event, run: Run) -> str | None:
    """The event as a line for people; None for those that only move the display, or are not what their kind is."""
    try:
        said = told(event.kind, event.round, event.fields)
    except Misfit:
        return None
    return None if said is None else _line(event, said, run)


def _line(event: Event, said: Record, run: Run) -> str | None:
    often: int = getattr(said, "times", 1)
    times = f", {often:,} times" if often > 1 else ""
    match said:
        case events.SiteJoined():
            return f"{event.site} joined with {said.molecules:,} molecules"
        case events.Agreement():
            shares = ", ".join(f"{site} {fixed(weight, 3)}" for site, weight in said.weights.items())
            return f"agreed: {said.local_steps} steps a round, weights {shares}"
        case events.RoundFinished():
            absent = f", without {', '.join(said.missing)}" if said.missing else ""
            left = seconds_left(run, run.last_event or 0.0)
            eta = f", about {duration(left)} left" if left else ""
            return (
                f"round {event.round} of {run.rounds_target or 0}: loss {fixed(said.loss, 3)}, NLL on entering "
                f"{fixed(said.nll)}, {fixed(said.seconds, 1)} s{absent}{eta}"
            )
        case events.SiteRefused():
            return f"refused {event.site}: {said.reason} ({said.detail}){times}"
        case events.UpdateRefused():
            return f"refused the update of {event.site}: {said.reason}{times}"
        case events.UpdateNotCounted():
            return f"did not count {event.site}'s update of round {event.round}: it moved the {said.section} too far"
        case events.StateDamaged():
            return f"damaged: {said.file}: {said.detail}"
        case events.StateRebuilt():
            return f"made again: {said.file}"
        case events.SiteLost():
            return f"{event.site} is lost: silent for {fixed(said.silent_seconds, 0)} s"
        case events.SiteHung():
            return f"{event.site} hangs: its work makes no progress"
        case events.SettingsChanged():
            return f"change {said.number} holds from round {event.round} on: {described(said.changes)}"
        case events.ChangeRefused():
            return f"did not take the change in {said.file}: {said.detail}"
        case events.ClockStopped():
            return f"the aggregator did not run for {fixed(said.seconds, 0)} s"
        case events.ModelDelivered():
            return f"{event.site} holds the final model"
        case events.RunFinished():
            absent = f", {misses(said.missed_rounds)}" if said.missed_rounds else ""
            return f"finished {number(said.rounds, 'round')}: {said.outcome}{absent}"
    return f"{event.site} is back" if event.kind == "site_returned" else None
