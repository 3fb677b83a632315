"""The command: `python -m benchmarks.soak`, or `make soak`."""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from benchmarks import origin
from benchmarks.soak import page
from benchmarks.soak.play import Played, play, which_settings
from fedmol.errors import Exit, FedmolError
from fedmol.run_folder import RunFolder
from fedmol.runtime import call

_KEPT = origin.ROOT / "build/soak"


@click.command("benchmarks.soak", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=50, show_default=True, type=click.IntRange(min=1), help="how many runs")
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(min=0), help="of the first; then the next ones"
)
@click.option("--at-once", default=2, show_default=True, type=click.IntRange(min=1), help="runs at the same time")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="folder (docs/results when left out)")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), default=_KEPT, help="where failed runs stay")
def soak(runs: int, seed: int, at_once: int, out: Path | None, work: Path) -> None:
    """Whole runs, disturbed at random: all have to end with the model of the undisturbed run at every party."""
    commit = origin.commit(clean=out is None)
    shutil.rmtree(work, ignore_errors=True)
    seeds, models = range(seed, seed + runs), dict[int, bytes]()
    for number in seeds:
        if which_settings(number) not in models:
            models[which_settings(number)] = undisturbed(number, work / f"undisturbed-{number}")

    def run(number: int) -> Played:
        folder = work / f"seed-{number}"
        played = play(number, folder, models[which_settings(number)])
        if not played.failures:
            shutil.rmtree(folder)
        return played

    every = []
    with ThreadPoolExecutor(at_once) as pool:
        for played in pool.map(run, seeds):
            every.append(played)
            _tell(played)
            page.publish(page.document(every, commit), out or page.FOLDER)  # so that what is broken off counts
    failed = [run.seed for run in every if run.failures]
    if failed:
        raise FedmolError(Exit.INTERNAL, f"{len(failed)} of {runs} runs failed: {failed}", f"their logs are in {work}")


def undisturbed(seed: int, folder: Path) -> bytes:
    """The model with which the run of `seed` ends when nothing disturbs it."""
    played = play(seed, folder, None)
    if played.failures:
        raise FedmolError(Exit.INTERNAL, f"a run without disturbances failed: {played.failures}", f"see {folder}")
    model = RunFolder(folder).aggregator.model.read_bytes()
    shutil.rmtree(folder)
    return model


def _tell(played: Played) -> None:
    what = ", ".join(f"{each.kind} of {each.whom} ({each.moment})" for each in played.happened)
    click.echo(f"seed {played.seed}: {'FAILED' if played.failures else 'right'} after {played.seconds:.0f} s: {what}")
    for failure in played.failures:
        click.echo(f"  {failure}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(call(soak, sys.argv[1:], "benchmarks.soak"))
