"""Runs that have to end with the same model, byte for byte: `python -m benchmarks.digests`, a quarter of an hour.

Runs of equal settings and seeds are played undisturbed, once more, interrupted and resumed, and with a site killed. A
change of the code's structure leaves the digests as they are on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks import origin
from fedmol import files
from fedmol.errors import Exit, FedmolError
from fedmol.run_folder import RunFolder
from fedmol.runtime import call
from fedmol.telemetry.events.round_events import RoundFinished
from fedmol.telemetry.log import Follower

COMMAND = "python -m benchmarks.digests"
DATA, PAGE = "digests.json", "digests.md"
_PATIENCE = 1800.0  # seconds of one run
_LOOK = 0.1  # seconds

Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Equal:
    """Runs of the same settings."""

    about: str
    options: tuple[str, ...]  # of `fedmol run`
    ways: tuple[str, ...]


def _options(rounds: int, local_steps: int, *others: str) -> tuple[str, ...]:
    said = (f"training.rounds={rounds}", f"training.local_steps={local_steps}", *others, "evaluation.samples=64")
    return tuple(word for setting in said for word in ("--set", setting))


_FOUR_SITES = "sites=[{name: amber},{name: birch},{name: cedar},{name: dogwood}]"
_BY_SCAFFOLD = "data.split={kind: scaffold, sizes: [8, 4, 2, 1]}"
_QM9 = ("--settings", "federation.qm9.yaml")
RUNS = {
    "default": Equal("`federation.yaml` as it is", (), ("undisturbed", "again")),
    "small": Equal(
        "six rounds of 30 steps, 600 molecules",
        _options(6, 30, "data.limit=600"),
        ("undisturbed", "interrupted", "killed"),
    ),
    "scaffold": Equal(
        "four sites of uneven size, scaffold split, three rounds of 40 steps",
        _options(3, 40, _FOUR_SITES, _BY_SCAFFOLD),
        ("undisturbed",),
    ),
    "qm9": Equal(
        "all of QM9, preset `base`, two rounds of 10 steps",
        (*_QM9, *_options(2, 10, "training.budget_minutes=null", "evaluation.nll_molecules=64")),
        ("undisturbed",),
    ),
}
WAYS = {
    "undisturbed": "undisturbed",
    "again": "once more",
    "interrupted": "interrupted with Ctrl-C after round 2, then resumed",
    "killed": "a site killed with kill -9 after round 3",
}


def play(options: tuple[str, ...], way: str, runs: Path) -> str:
    """The SHA-256 of the model that the run ends with."""
    command = (str(Path(sys.executable).with_name("fedmol")), "run", *options, "--runs", str(runs), "--run-id", way)
    run = RunFolder(runs / way)
    if way == "interrupted":
        _until(command, run, 2, lambda process: process.send_signal(signal.SIGINT), Exit.INTERRUPTED)
        command = (*command, "--resume")
    _until(command, run, 3 if way == "killed" else None, _kill_a_site, Exit.DONE)
    return hashlib.sha256(run.model.read_bytes()).hexdigest()


def _until(
    command: tuple[str, ...],
    run: RunFolder,
    round: int | None,
    disturb: Callable[[subprocess.Popen[bytes]], None],
    end: Exit,
) -> None:
    """Start the command, disturb it when the round is over, and see how it ends."""
    until, news = time.monotonic() + _PATIENCE, Follower(run.aggregator.log)
    with subprocess.Popen(command, cwd=origin.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            while round is not None and process.poll() is None and time.monotonic() < until:
                if any(isinstance(event.body, RoundFinished) and event.round == round for event in news.new()):
                    disturb(process)
                    break
                time.sleep(_LOOK)
            _, said = process.communicate(timeout=until - time.monotonic())
        except BaseException:
            process.kill()
            raise
    if process.returncode != end:
        words = said.decode(errors="replace")[-2000:]
        raise FedmolError(Exit.INTERNAL, f"{' '.join(command)} ended with {process.returncode}: {words}", f"see {run}")


def _kill_a_site(process: subprocess.Popen[bytes]) -> None:
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "--site" in child.cmdline():
                child.kill()
                return
    raise FedmolError(Exit.INTERNAL, "no process of a site was found", "see how `fedmol run` starts them")


def equal(name: str, found: Mapping[str, str]) -> str:
    """The digest that all have. Raises FedmolError INTERNAL, with who has which, if they differ."""
    if len(digests := set(found.values())) != 1:
        which = "; ".join(f"{way}: {digest}" for way, digest in found.items())
        raise FedmolError(Exit.INTERNAL, f"the runs {name!r} ended with different models: {which}", "find out why")
    return digests.pop()


def render(figures: Figures) -> str:
    """docs/results/digests.md."""
    made = {(figure["machine"], figure["commit"][:7]) for figure in figures.values()}
    rows = "".join(
        f"| {figure['about']} | {'; '.join(WAYS[way] for way in figure['ways'])} | `{figure['value']}` |\n"
        for figure in figures.values()
    )
    where = "; ".join(f"{machine}, at {commit}" for machine, commit in sorted(made))
    return f"""# Runs that end with the same model

`{COMMAND}` plays `fedmol run` with equal settings and seeds, in the ways that the table names. All
runs of a row ended with the same `model.safetensors`, byte for byte. Measured on {where}.
Other processors round differently, so the digests hold on one kind of machine. They stay as they are when
the code changes its structure; [CHANGELOG.md](../../CHANGELOG.md) says what has changed them.

| run | played | SHA-256 of `model.safetensors` |
| --- | --- | --- |
{rows}
`--only` plays some of them: {", ".join(f"`{name}`" for name in RUNS)}. [digests.json](digests.json) has their options.
"""


@click.command("benchmarks.digests", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, type=click.Choice(list(RUNS)), help="runs to play; all of them if left out")
@click.option("--out", default=origin.ROOT / "docs/results", type=click.Path(path_type=Path, file_okay=False))
def main(only: tuple[str, ...], out: Path) -> None:
    """Play runs that have to end with the same model, and write the digests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which jobs in the background ignore
    told = {"commit": origin.commit(clean=out == origin.ROOT / "docs/results"), "machine": origin.machine()}
    figures: Figures = json.loads((out / DATA).read_text()) if (out / DATA).exists() else {}
    for name in only or RUNS:
        runs = RUNS[name]
        with tempfile.TemporaryDirectory() as folder:
            digest = equal(name, {way: play(runs.options, way, Path(folder)) for way in runs.ways})
        former = figures.get(name, {}).get("value")
        news = "" if former is None else " (as before)" if former == digest else f" (CHANGED, was {former})"
        click.echo(f"{name}: {digest}{news}")
        figures[name] = {
            "value": digest,
            "about": runs.about,
            "options": list(runs.options),
            "ways": list(runs.ways),
            "command": f"{COMMAND} --only {name}",
            **told,
        }
        files.write_text(out / DATA, json.dumps(figures, indent=1) + "\n")
        files.write_text(out / PAGE, render(figures))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(call(main, sys.argv[1:], "benchmarks.digests"))
