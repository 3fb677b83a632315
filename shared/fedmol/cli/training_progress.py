"""What `fedmol train` shows while it trains: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fedmol.formats import count, duration, fixed
from fedmol.training import StepReport
from fedmol.training.throughput import Throughput

_LINE_EVERY = 10.0  # seconds


class TrainingProgress:
    """Shown from the first report on, as long as the `with` block lasts; `follow` is told of every report."""

    def __init__(self, console: Console, batch_size: int) -> None:
        self.console, self.batch_size = console, batch_size
        self.pace: Throughput | None = None
        self._said = time.monotonic()
        self._bar = Progress(
            BarColumn(bar_width=8),  # all of it fits into 80 columns
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", figures="")

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def follow(self, report: StepReport, steps: int) -> None:
        """The steps taken since the last report, and how many there are."""
        first = self.pace is None  # which was not timed
        pace = self.pace or self._begin(report.step + 1 - report.molecules // self.batch_size, steps)
        pace.follow(report)
        speed = "" if first else f", {count(pace.molecules_per_second)} molecules/s, {duration(pace.seconds_left)} left"
        figures = f"loss {fixed(pace.loss, 3)}{speed}, lr {report.learning_rate:.1e}"
        self._bar.update(self._task, completed=pace.done, figures=figures)
        due = (not first and time.monotonic() - self._said >= _LINE_EVERY) or pace.done == pace.end
        if due and not self.console.is_terminal:
            self._said = time.monotonic()
            line = f"step {count(pace.done)} of {count(pace.end)}: {figures}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def _begin(self, first_step: int, steps: int) -> Throughput:
        """A training that was broken off begins later."""
        self.pace = Throughput(first_step, steps)
        self._bar.update(self._task, total=steps, completed=first_step)
        self._bar.start()
        return self.pace
