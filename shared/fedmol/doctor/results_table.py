"""The results for people, and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from fedmol.doctor.checks import Result

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def table(party: str, results: Sequence[Result]) -> Table:
    grid = Table(title=Text(f"fedmol doctor: {party}"), title_justify="left", box=box.SIMPLE_HEAD)
    grid.add_column("check", no_wrap=True)
    grid.add_column("result", no_wrap=True)
    grid.add_column("what was found, and what to do", overflow="fold")
    for result in results:
        state, style = result.finding.state, _STYLES[result.finding.state]
        shown = state.upper() if state == "failed" else state  # to be told apart without colours, too
        grid.add_row(Text(result.name), Text(shown, style), _words(result))
    return grid


def _words(result: Result) -> Text:
    # Text, not strings: rich would take brackets in what was found for markup.
    text = Text(result.finding.found, "dim" if result.finding.state == "skipped" else "")
    if result.finding.cure:
        text.append("\ncure: ", "bold")
        text.append(result.finding.cure)
    return text


def document(party: str, results: Sequence[Result]) -> str:
    """JSON: whether all is well, and every check with its figures in base units."""
    checks = [
        {
            "name": result.name,
            "result": result.finding.state,
            "found": result.finding.found,
            "cure": result.finding.cure or None,
            "figures": result.finding.figures,
            "seconds": round(result.seconds, 3),
        }
        for result in results
    ]
    return json.dumps({"party": party, "ready": not failures(results), "checks": checks}, indent=2) + "\n"


def failures(results: Sequence[Result]) -> list[str]:
    return [result.name for result in results if result.finding.state == "failed"]
