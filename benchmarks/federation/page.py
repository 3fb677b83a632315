"""docs/results/federation.md, made from docs/results/federation.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.federation.figures import ALLOWANCE, SITES, TARGETS, Figure, Figures
from fedmol import files, formats

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/results"
DATA, PAGE = "federation.json", "federation.md"
_BEFORE = "before/"
_BEFORE_FILE = Path(__file__).with_name("before.json")  # measured once: that code is no longer here
Row = tuple[str, ...]


def load(folder: Path = FOLDER) -> Figures:
    """The figures in the folder; those of before where nothing has been measured."""
    path = folder / DATA
    figures: Figures = json.loads(path.read_text()) if path.exists() else before()
    return figures


def before() -> Figures:
    """Figures of the aggregator that fedmol's own replaced."""
    figures: Figures = json.loads(_BEFORE_FILE.read_text())
    return {_BEFORE + name: figure for name, figure in figures.items()}


def publish(figures: Figures, folder: Path = FOLDER) -> None:
    """Write the figures, and the page that quotes them."""
    files.write_text(folder / DATA, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    files.write_text(folder / PAGE, render(figures))


def render(figures: Figures) -> str:
    """The page."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    own = {name: figure for name, figure in figures.items() if not name.startswith(_BEFORE)}
    old = {name.removeprefix(_BEFORE): figure for name, figure in figures.items() if name.startswith(_BEFORE)}
    return templates.get_template("federation.md.j2").render(
        machines=sorted({figure["machine"] for figure in own.values()}),
        commits=sorted({figure["commit"][:7] for figure in own.values()}),
        commands=sorted({figure["command"] for figure in own.values()}),
        headlines=list(_headlines(own)),
        cases=list(_cases(own)),
        old=list(_old(old)),
        old_commits=sorted({figure["commit"][:7] for figure in old.values()}),
    )


def _headlines(figures: Figures) -> Iterator[Row]:
    for what, (title, target) in TARGETS.items():
        for sites in SITES:
            figure = figures.get(f"{what}_{sites}_sites")
            if figure is not None:
                met = "yes" if figure["value"] <= target else "**no**"
                yield title, str(sites), f"{target:g}", _interval(figure), figure["model"], met


def _cases(figures: Figures) -> Iterator[Row]:
    for name in dict.fromkeys(name.rpartition("/")[0] for name in figures if name.startswith("case/")):
        _, sites, model = name.split("/")
        case = {
            what.removeprefix(f"{name}/"): figure for what, figure in figures.items() if what.startswith(f"{name}/")
        }
        allowed = ALLOWANCE + TARGETS["memory_models"][1] * case["model_bytes"]["value"]
        yield (
            sites,
            model,
            *(formats.fixed(case[key]["value"], 3) for key in ("cpu_seconds", "floor_cpu_seconds")),
            _interval(case["cpu_over_floor"]),
            *(formats.fixed(case[key]["value"], 3) for key in ("seconds", "floor_seconds")),
            _interval(case["wall_over_floor"]),
            *(
                formats.size(value)
                for value in (case["peak_bytes"]["value"], allowed, case["floor_peak_bytes"]["value"])
            ),
        )


def _old(figures: Figures) -> Iterator[Row]:
    for name in dict.fromkeys(name.rpartition("/")[0] for name in figures):
        _, sites, model = name.split("/")
        ratios = (_interval(figures[f"{name}/{key}"]) for key in ("cpu_over_floor", "wall_over_floor"))
        yield sites, model, *ratios, formats.size(figures[f"{name}/peak_bytes"]["value"])


def _interval(figure: Figure) -> str:
    value, low, high = (formats.fixed(figure[key], 2) for key in ("value", "low", "high"))
    return value if low == high else f"{value} ({low} to {high})"
