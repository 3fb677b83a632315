"""How far a file of molecules has been read."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class RowsRead(Progress):
    """A bar of rows, there from the first block of rows on and gone in the end."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn())
        super().__init__(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar = self.add_task("reading", visible=False)

    def follow(self, done: int, total: int) -> None:
        self.update(self._bar, completed=done, total=total, visible=total > done)
