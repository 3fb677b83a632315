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

from fedmol.formats import duration, fixed, size
from fedmol.shown import plain
from fedmol.telemetry.log import AnyEvent
from fedmol.telemetry.reducer import apply
from fedmol.telemetry.state import Run, Site
from fedmol.telemetry.verdict import seconds_left, site_state

_LONGEST = 500  # characters of a line


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

    def follow(self, events: Iterable[AnyEvent]) -> None:
        """Take events up without a word: they have been shown before."""
        for event in events:
            apply(self.run, event)
        self.run.news.clear()

    def show(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            apply(self.run, event)
            while self.run.news:
                self.note(self.run.news.popleft())

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
