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
    for one in results:
        state, style = one.finding.state, _STYLES[one.finding.state]
        shown = state.upper() if state == "failed" else state  # to be told apart without colours, too
        grid.add_row(Text(one.name), Text(shown, style), _words(one))
    return grid


def _words(one: Result) -> Text:
    # Text, not strings: rich would take brackets in what was found for markup.
    text = Text(one.finding.found, "dim" if one.finding.state == "skipped" else "")
    if one.finding.cure:
        text.append("\ncure: ", "bold")
        text.append(one.finding.cure)
    return text


def document(party: str, results: Sequence[Result]) -> str:
    """JSON: whether all is well, and every check with its figures in base units."""
    checks = [
        {
            "name": one.name,
            "result": one.finding.state,
            "found": one.finding.found,
            "cure": one.finding.cure or None,
            "figures": one.finding.figures,
            "seconds": round(one.seconds, 3),
        }
        for one in results
    ]
    return json.dumps({"party": party, "ready": not failures(results), "checks": checks}, indent=2) + "\n"


def failures(results: Sequence[Result]) -> list[str]:
    return [one.name for one in results if one.finding.state == "failed"]
