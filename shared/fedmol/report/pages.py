"""The page that shows a run, in a file of its own that fetches nothing."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from fedmol import files, formats
from fedmol.evaluation.comparison import NOT_MEASURED, PAPER, comparable, compare
from fedmol.fl.federation import dump
from fedmol.report import figures
from fedmol.report.contributions import accounts
from fedmol.report.evaluation_page import environment, of_evaluation
from fedmol.report.run_record import RunRecord, read_record
from fedmol.report.summary import outcome
from fedmol.run_folder import RunFolder

_MOST_MISFITS = 20


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder: self-contained, no script, nothing fetched.

    What the folder does not hold (yet) is named as missing.

    Raises:
        FedmolError: see `fedmol.report.run_record.read_record`.
    """
    path = RunFolder(run).report
    files.write_text(path, render(read_record(run)), files.GROUP)
    return path


def render(record: RunRecord) -> str:
    """The page of a run as HTML."""
    return environment().get_template("report.html.j2").render(_content(record))


def _content(record: RunRecord) -> dict[str, Any]:
    evaluation = record.evaluation
    return {
        "record": record,
        "run": record.run,
        "settings": record.settings,
        "latest": record.course.latest,
        "outcome": outcome(record),
        "accounts": accounts(record),
        "incidents": record.run.incidents.distinct(),
        "misfits": _misfits(record),
        **of_evaluation(evaluation),
        "comparison": compare(evaluation, record.baseline) if evaluation else (),
        "comparable": comparable(record.settings.data),
        "paper": PAPER,
        "not_measured": NOT_MEASURED,
        "settings_text": dump(record.settings),
        "command": command(record),
        "figures": figures,
        "number": formats.number,
    }


def _misfits(record: RunRecord) -> list[str]:
    """What the log holds that cannot be used: the first pieces, and how many there are."""
    wrong = [*record.run.misfits, *record.course.misfits][:_MOST_MISFITS]
    count = record.run.misread + len(record.course.misfits)
    return [*wrong, f"{count:,} lines in all"] if count > len(wrong) else wrong


def command(record: RunRecord) -> str:
    """How to make this run again, with as many steps where they had been fitted to a time."""
    again = ["fedmol", "run", "--settings", str(record.folder.settings)]
    steps = record.run.local_steps
    if record.settings.training.budget_minutes is not None and steps is not None:
        again += ["--set", "training.budget_minutes=null", "--set", f"training.local_steps={steps}"]
    again += _as_begun(record)
    return shlex.join([*again, "--baseline"] if record.baseline else again)


def _as_begun(record: RunRecord) -> list[str]:
    """Options that take back what the folder's settings already have of the run's changes."""
    kept, begun = record.kept.model_dump(mode="json"), record.settings.model_dump(mode="json")
    undone = {"sites": begun["sites"]} if begun["sites"] != kept["sites"] else {}
    for section in ("training", "rounds"):
        differ = {key: value for key, value in begun[section].items() if value != kept[section][key]}
        undone |= {f"{section}.{key}": value for key, value in differ.items()}
    return [part for key, value in undone.items() for part in ("--set", f"{key}={json.dumps(value)}")]
