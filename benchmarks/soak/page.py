"""docs/results/soak.md, made from docs/results/soak.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks import origin
from benchmarks.soak.disturbances import FAREWELL, JOINING, LAST_ROUND, Kind
from benchmarks.soak.play import Played
from fedmol import files, formats

FOLDER = origin.ROOT / "docs/results"
DATA, PAGE = "soak.json", "soak.md"

Document = dict[str, Any]
_MOMENTS = (JOINING, "a round between", LAST_ROUND, FAREWELL)


def document(played: list[Played], commit: str) -> Document:
    """What is kept of the runs."""
    return {
        "command": "make soak",
        "commit": commit,
        "machine": origin.machine(),
        "runs": [
            {
                "seed": run.seed,
                "sites": run.sites,
                "rounds": run.rounds,
                "seconds": round(run.seconds, 1),
                "disturbances": [[each.kind.value, each.moment, each.whom] for each in run.happened],
                "codes": run.codes,
                "failures": run.failures,
            }
            for run in played
        ],
    }


def load(folder: Path = FOLDER) -> Document | None:
    """What was found last; None where nothing has been played."""
    path = folder / DATA
    return json.loads(path.read_text()) if path.exists() else None


def publish(found: Document, folder: Path = FOLDER) -> None:
    """Write the data, and the page that quotes them."""
    runs = ",\n  ".join(json.dumps(run) for run in found["runs"])
    head = json.dumps({**found, "runs": []}, indent=1).removesuffix("[]\n}")
    files.write_text(folder / DATA, f"{head}[\n  {runs}\n ]\n}}\n")
    files.write_text(folder / PAGE, render(found))


def render(found: Document | None) -> str:
    """The page."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return templates.get_template("soak.md.j2").render(found=found, **(_figures(found) if found else {}))


def _figures(found: Document) -> dict[str, Any]:
    runs = found["runs"]
    seconds = [run["seconds"] for run in runs]
    ends = Counter(code for run in runs for codes in run["codes"].values() for code in codes)
    return {
        "failed": [run for run in runs if run["failures"]],
        "disturbances": sum(len(run["disturbances"]) for run in runs),
        "restarts": sum(times for code, times in ends.items() if code != 0),
        "ends": sorted(ends.items()),
        "usual": formats.fixed(median(seconds), 0),
        "longest": formats.fixed(max(seconds), 0),
        "moments": _MOMENTS,
        "rows": list(_rows(runs)),
    }


def _rows(runs: list[Document]) -> Iterator[list[str]]:
    happened = Counter(
        (kind, moment if moment in _MOMENTS else _MOMENTS[1]) for run in runs for kind, moment, _ in run["disturbances"]
    )
    for kind in Kind:
        yield [kind.value, *(str(happened[kind.value, moment]) for moment in _MOMENTS)]
