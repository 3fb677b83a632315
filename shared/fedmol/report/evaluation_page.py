"""The page that shows one evaluation, which a run's page has among others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fedmol import files, formats
from fedmol.evaluation import Evaluation
from fedmol.evaluation.resemblance import ABOUT
from fedmol.report import figures

PICTURES = 30  # fills rows of 2, 3, 5 and 6


def write_evaluation(path: Path, evaluation: Evaluation, subject: str) -> None:
    """Write the page of one evaluation: self-contained, no script. `subject` names what was evaluated."""
    content = {**of_evaluation(evaluation), "subject": subject, "figures": figures}
    files.write_text(path, environment().get_template("evaluation.html.j2").render(content))


def environment() -> Environment:
    """The templates of this package, with the filters that they use."""
    environment = Environment(
        loader=PackageLoader("fedmol.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    filters = (
        "fixed",
        "signed",
        "count",
        "percent",
        "interval",
        "size",
        "duration",
        "date",
        "clock",
        "names",
        "ranges",
    )
    environment.filters |= {name: getattr(formats, name) for name in filters}
    return environment


def of_evaluation(evaluation: Evaluation | None) -> dict[str, Any]:
    """What the templates show of an evaluation."""
    return {
        "evaluation": evaluation,
        "examples": evaluation.examples[:PICTURES] if evaluation else (),
        "about": ABOUT,
    }
