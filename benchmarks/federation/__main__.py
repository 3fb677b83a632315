"""The command: `python -m benchmarks.federation`, or `make bench-federation`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from benchmarks import origin
from benchmarks.federation import page
from benchmarks.federation.cases import Case, cases, small_case
from benchmarks.federation.cost import Cost, measure
from benchmarks.federation.figures import figures_of
from fedmol.errors import Exit, FedmolError
from fedmol.runtime import call

_FOLDER = page.ROOT / "bench"  # on a real disk, which the folder for temporary files need not be


@click.command("benchmarks.federation", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--small", is_flag=True, help="a few seconds of it, with a tiny model; needs --out")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="folder (docs/results when left out)")
def federation(small: bool, out: Path | None) -> None:
    """What a round costs the aggregator, training stubbed, beside the floor: in ten minutes."""
    if small and out is None:
        raise FedmolError(Exit.USAGE, "a small run is no result", "name a folder for it with --out")
    commit = origin.commit(clean=out is None)
    source = {
        "command": "make bench-federation" + (" ARGS=--small" if small else ""),
        "commit": commit,
        "machine": origin.machine(),
    }
    costs = [_told(case) for case in ([small_case()] if small else cases())]
    figures = {**figures_of(costs, source), **page.before()}
    spoilt = out is None and origin.changed_since(commit)
    folder = _FOLDER / "federation" if spoilt else out or page.FOLDER
    page.publish(figures, folder)
    click.echo(f"written: {folder / page.DATA} and {folder / page.PAGE}")
    if spoilt:
        raise FedmolError(Exit.USAGE, "the code was changed while it was measured", "measure again, and leave it alone")


def _told(case: Case) -> Cost:
    click.echo(case.name)
    _FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER, prefix="federation-") as folder:
        cost = measure(case, Path(folder))
    for name, side in (("aggregator", cost.ours), ("floor", cost.floor)):
        turns = "  ".join(f"{turn.cpu_seconds:.3f}/{turn.seconds:.3f}" for turn in side.turns)
        click.echo(f"  {name:10} peak {side.peak_bytes / 1e9:.2f} GB, CPU/clock seconds of each round: {turns}")
    return cost


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(call(federation, sys.argv[1:], "benchmarks.federation"))
