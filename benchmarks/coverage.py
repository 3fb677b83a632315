"""How much of the product the unit tests reach: `python -m benchmarks.coverage TESTS...`, or `make coverage`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from benchmarks import origin
from fedmol import files, formats
from fedmol.errors import Exit, FedmolError
from fedmol.runtime import call

FLOOR = 0.85  # of all statements and branches
LITTLE = 0.6  # a module of which less is reached is named
DATA, PAGE = "coverage.json", "coverage.md"
TOTAL = "total"

Figures = dict[str, dict[str, Any]]
_WORK = origin.ROOT / "build/coverage"
_COUNTS = {
    "statements": "num_statements",
    "reached_statements": "covered_lines",
    "branches": "num_branches",
    "reached_branches": "covered_branches",
}


def package(path: str) -> str:
    """Where a module stands: a package of the library or `single modules`, or one of the two programs."""
    parts = Path(path).parts
    if parts[0] != "shared":
        return parts[0]
    return parts[2] if len(parts) > 3 else "single modules"


def figures(measured: Mapping[str, Any]) -> Figures:
    """By package, in all, and of each module of which little is reached, from what `coverage json` has written."""
    packages: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(("modules", *_COUNTS), 0))
    little: Figures = {}
    for path, file in sorted(measured["files"].items()):
        counts = {name: file["summary"][key] for name, key in _COUNTS.items()}
        for each in (packages[package(path)], packages[TOTAL]):
            each["modules"] += 1
            for name, count in counts.items():
                each[name] += count
        if counts["statements"] and share(counts) < LITTLE:
            little[f"module/{path}"] = {"value": share(counts), **counts}
    return {f"package/{name}": {"value": share(counts), **counts} for name, counts in sorted(packages.items())} | little


def share(counts: Mapping[str, int]) -> float:
    """Of statements and branches together, as coverage.py has it."""
    reached = counts["reached_statements"] + counts["reached_branches"]
    return reached / max(1, counts["statements"] + counts["branches"])


def render(found: Figures) -> str:
    """docs/results/coverage.md."""
    total = found[f"package/{TOTAL}"]
    packages = "".join(
        _rows((name, figure) for name, figure in found.items() if name.startswith("package/") and figure != total)
    )
    little = "".join(_rows((f"`{name}`", figure) for name, figure in found.items() if name.startswith("module/")))
    named = (
        f"""
Modules of which less than {formats.percent(LITTLE, 0)} is reached:

| module | statements | branches | reached |
| --- | ---: | ---: | ---: |
{little}"""
        if little
        else ""
    )
    return f"""# What the unit tests reach

Statements and branches of the product that run at least once in `make test TIER=unit`, in the tests or in processes
that they start. Made by `{total["command"]}` at {total["commit"][:7]}, which fails below {formats.percent(FLOOR, 0)}.
Tests with real processes and real mTLS (`TIER=federation`) are not counted: where they alone reach, a fault is found
late, and far from its cause. That a line runs does not say that a test would notice if it were wrong.

| package | modules | statements | branches | reached |
| --- | ---: | ---: | ---: | ---: |
{packages}| **all** | {_cells(total)} |
{named}"""


def _rows(chosen: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    for name, figure in chosen:
        yield f"| {name.replace('package/', '').replace('module/', '')} | {_cells(figure)} |\n"


def _cells(figure: Mapping[str, Any]) -> str:
    counts = [figure["modules"]] if "modules" in figure else []
    cells = [*counts, figure["statements"], figure["branches"]]
    return " | ".join([*map(formats.count, cells), formats.percent(figure["value"])])


def _measure(tests: tuple[str, ...]) -> Mapping[str, Any]:
    _WORK.mkdir(parents=True, exist_ok=True)
    report = _WORK / DATA
    workers = str(min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
    pytest = ["pytest", "--quiet", "--numprocesses", workers, "--no-loadscope-reorder", *tests]
    for words in (["erase"], ["run", "-m", *pytest], ["combine", "--quiet"], ["json", "--quiet", "-o", str(report)]):
        if subprocess.run([sys.executable, "-m", "coverage", *words], cwd=origin.ROOT, check=False).returncode != 0:
            raise FedmolError(Exit.INTERNAL, f"coverage {words[0]} failed", "see its output above")
    measured: Mapping[str, Any] = json.loads(report.read_text())
    return measured


@click.command("benchmarks.coverage", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("tests", nargs=-1, required=True)
@click.option("--out", default=origin.ROOT / "docs/results", type=click.Path(path_type=Path, file_okay=False))
def coverage(tests: tuple[str, ...], out: Path) -> None:
    """Run the tests in these folders, and count what they reach of the product."""
    told = {"command": "make coverage", "commit": origin.commit(clean=out == origin.ROOT / "docs/results")}
    found = {name: {**figure, **told} for name, figure in figures(_measure(tests)).items()}
    files.write_text(out / DATA, json.dumps(found, indent=1, allow_nan=False) + "\n")
    files.write_text(out / PAGE, render(found))
    click.echo(render(found))
    if (reached := found[f"package/{TOTAL}"]["value"]) < FLOOR:
        raise FedmolError(
            Exit.INTERNAL,
            f"the unit tests reach {formats.percent(reached)} of the product, less than {formats.percent(FLOOR, 0)}",
            "write tests for what changed; build/coverage/coverage.json has the missing lines of each module",
        )


if __name__ == "__main__":
    sys.exit(call(coverage, sys.argv[1:], "benchmarks.coverage"))
