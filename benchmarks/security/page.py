"""docs/results/security.md, made from docs/results/security.json and docs/results/faults.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.origin import ROOT
from benchmarks.security.attack import IDENTITIES, LOADS
from benchmarks.security.noise import NOISE
from fedmol import files, formats

FOLDER = ROOT / "docs/results"
DATA, PAGE, FAULTS = "security.json", "security.md", ROOT / "docs/results/faults.json"
LONGEST, MOST = 2.0, 1.5e9  # times the usual time of an upload; bytes
MOST_LOG, MOST_SIDECAR = 1e6, 128e6  # bytes an hour; bytes

Figures = dict[str, dict[str, Any]]


def load(folder: Path = FOLDER) -> Figures:
    """The figures in the folder; none where nothing has been measured."""
    path = folder / DATA
    figures: Figures = json.loads(path.read_text()) if path.exists() else {}
    return figures


def publish(figures: Figures, folder: Path = FOLDER) -> None:
    """Write the figures, and the page that quotes them."""
    files.write_text(folder / DATA, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    files.write_text(folder / PAGE, render(figures))


def render(figures: Figures) -> str:
    """The page."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return templates.get_template("security.md.j2").render(
        loads=LOADS,
        rows=list(_rows(figures)),
        noise=NOISE,
        noise_rows=list(_noise_rows(figures)),
        machines=sorted({figure["machine"] for figure in figures.values()}),
        commits=sorted({figure["commit"][:7] for figure in figures.values()}),
        faults={row: len(tests) for row, tests in json.loads(FAULTS.read_text()).items() if not row.startswith("D")},
    )


def _rows(figures: Figures) -> Iterator[tuple[str, ...]]:
    for load in LOADS:
        for identity in IDENTITIES:
            name = f"{load}/{identity}"
            if f"{name}/peak_bytes" not in figures:
                continue
            ratio, peak = figures[f"{name}/upload_over_control"], figures[f"{name}/peak_bytes"]["value"]
            median, low, high = (formats.fixed(ratio[key], 2) for key in ("value", "low", "high"))
            met = ratio["value"] < LONGEST and peak < MOST
            yield load, identity, f"{median} ({low} to {high})", formats.size(peak), "yes" if met else "**no**"


def _noise_rows(figures: Figures) -> Iterator[tuple[str, ...]]:
    for load in NOISE:
        if f"log/{load}/log_bytes_an_hour" not in figures:
            continue
        names = ("attempts_a_second", "log_bytes_an_hour", "stderr_bytes_an_hour", "aggregator_cores", "sidecar_bytes")
        attempts, log, stderr, cores, sidecar = (figures[f"log/{load}/{name}"]["value"] for name in names)
        met = "yes" if log < MOST_LOG and sidecar < MOST_SIDECAR else "**no**"
        shown = formats.count(attempts), formats.size(log), formats.size(stderr), formats.fixed(cores, 2)
        yield load, *shown, formats.size(sidecar), met
