"""report.html: one file that shows a run, made from its folder and nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fedmol import files, formats
from fedmol.evaluation.comparison import NOT_MEASURED, PAPER, comparable, compare
from fedmol.federation.settings import dump
from fedmol.report import figures
from fedmol.report.accounts import accounts
from fedmol.report.incidents import incidents
from fedmol.report.outcome import outcome
from fedmol.report.record import RunRecord, read_record

PICTURES = 30  # fills rows of 2, 3, 5 and 6


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder: self-contained, no script, nothing fetched.

    What the folder does not hold (yet) is named as missing.

    Raises:
        FedmolError: see `fedmol.report.record.read_record`.
    """
    path = run / "report.html"
    files.write_text(path, render(read_record(run)))
    return path


def render(record: RunRecord) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("fedmol.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    filters = ("fixed", "signed", "count", "percent", "interval", "size", "duration", "date", "names", "ranges")
    environment.filters |= {name: getattr(formats, name) for name in filters}
    return environment.get_template("report.html.j2").render(_content(record))


def _content(record: RunRecord) -> dict[str, Any]:
    evaluation = record.evaluation
    return {
        "record": record,
        "settings": record.settings,
        "outcome": outcome(record),
        "accounts": accounts(record),
        "incidents": incidents(record),
        "evaluation": evaluation,
        "examples": evaluation.examples[:PICTURES] if evaluation else (),
        "comparison": compare(evaluation, record.baseline) if evaluation else (),
        "comparable": comparable(record.settings.data),
        "paper": PAPER,
        "not_measured": NOT_MEASURED,
        "settings_text": dump(record.settings),
        "command": command(record),
        "figures": figures,
        "number": formats.number,
    }


def command(record: RunRecord) -> str:
    """How to make this run again, with as many steps where they had been fitted to a time."""
    again = ["fedmol", "run", "--settings", str(record.folder / "settings.yaml")]
    steps = record.said("agreement", "local_steps")
    if record.settings.training.budget_minutes is not None and steps is not None:
        again += ["--set", "training.budget_minutes=null", "--set", f"training.local_steps={steps}"]
    return shlex.join([*again, "--baseline"] if record.baseline else again)
