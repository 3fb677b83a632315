"""The command: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import torch
from rich.console import Console

from benchmarks.chart import drawing
from benchmarks.stock import load
from benchmarks.suite import Effort, Suite
from benchmarks.table import print_results
from fedmol import files
from fedmol.models import PRESETS
from fedmol.runtime import call
from fedmol.settings import ModelSettings

_BATCH = {"cpu": 128, "cuda": 1024}
_SAMPLED = {"cpu": 256, "cuda": 1024}
_QUICK_ROWS = 20_000  # of the data set


def _effort(full: bool, device: torch.device, limit: float) -> Effort:
    batch, sampled = _BATCH[device.type], _SAMPLED[device.type]
    if full:
        return Effort(batch, sampled, rounds=7, turn=6.0, default_rounds=3, descent_limit=limit)
    return Effort(batch, sampled, rounds=3, turn=2.0)


@click.command("benchmarks", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--full", is_flag=True, help="more rounds, and the time to a given NLL: more than an hour")
@click.option("--data", default="embedded", show_default=True, help="embedded, qm9 or the path of a CSV or SMILES file")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="the GPU where there is one when left out")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="processor threads to use")
@click.option(
    "--limit", default=1200.0, show_default=True, type=click.FloatRange(0, min_open=True), help="seconds to an NLL"
)
@click.option("--out", default=Path("bench"), show_default=True, type=click.Path(path_type=Path), help="folder")
def benchmarks(full: bool, data: str, device: str | None, threads: int, limit: float, out: Path) -> None:
    """How fast fedmol trains and samples, beside a plain implementation of DiGress in the same run."""
    torch.set_num_threads(threads)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    console = Console()
    with console.status("") as status:

        def say(what: str) -> None:
            status.update(what)
            if not console.is_terminal:
                console.print(what)

        say(f"molecules: {data}")
        stock = load(data, None if full or data == "embedded" else _QUICK_ROWS)
        suite = Suite(stock, list(PRESETS), ModelSettings().preset, place, _effort(full, place, limit), say)
        results = suite.run()
    print_results(console, results)
    path = out / f"{results.started.replace(':', '').removesuffix('+0000')}.json"
    results.write(path)
    files.write_text(path.with_suffix(".svg"), drawing(results))
    console.print(f"written: {path} and .svg, after {results.seconds:.0f} s")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(call(benchmarks, sys.argv[1:], "benchmarks"))
