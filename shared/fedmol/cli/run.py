"""fedmol run: a whole federation on this machine, from shards to report."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from fedmol.documents import DocumentError
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import load
from fedmol.run_folder import RunFolder
from fedmol.runtime import RUN_ID, ended_by_the_system
from fedmol.yaml_reading import parse_yaml


@click.command("run")
@click.option("--settings", "path", type=click.Path(path_type=Path), default=Path("federation.yaml"), show_default=True)
@click.option("--data", help='"embedded", "qm9", or a file of molecules; overrides data.source')
@click.option("--budget", type=float, help="minutes of training; sets the number of steps per round")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="override any setting, e.g. training.rounds=4"
)
@click.option("--baseline", is_flag=True, help="also train a centralised model with as many gradient steps")
@click.option("--run-id", type=RUN_ID, help="name of the run  [default: from the date]")
@click.option("--resume", is_flag=True, help="continue --run-id, or the latest run")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="folder that holds the runs",
)
def run(
    path: Path,
    data: str | None,
    budget: float | None,
    changes: tuple[str, ...],
    baseline: bool,
    run_id: str | None,
    resume: bool,
    runs: Path,
) -> None:
    """Run a whole federation on this machine: an aggregator and the sites, as separate processes that speak mTLS."""
    from fedmol.cli.rows_read import RowsRead
    from fedmol.extras import require_programs
    from fedmol.local.display import Display
    from fedmol.local.outcome import conclude
    from fedmol.local.preparation import prepare, recall
    from fedmol.local.runner import run_federation

    require_programs("fedmol run")
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being asked to stop is the same as Ctrl-C
    if resume:
        folder = _latest(runs) if run_id is None else runs / run_id
        settings = recall(RunFolder(folder))
    else:
        settings = load(path, overrides_of(data, budget, changes))
        folder = runs / (run_id or f"{settings.name}-{datetime.now():%Y%m%d-%H%M%S}")
        names = ", ".join(settings.site_names)
        console.print(
            f"preparing {folder}: shards of {settings.data.source!r} for {names}, certificates",
            soft_wrap=True,
            markup=False,
        )
        with RowsRead(console) as rows:
            settings = prepare(settings, folder, rows.follow, lambda line: console.print(f"  {line}", markup=False))
    place = RunFolder(folder)
    try:
        with Display(console) as display:
            run_federation(settings, folder.name, place, display)
        with _kept(place.aggregator.model, _resume(folder, runs)):
            conclude(settings, place, baseline, console)
    except KeyboardInterrupt:
        cure = f"continue with: {_resume(folder, runs)}"
        raise FedmolError(Exit.INTERRUPTED, "the run was interrupted; nothing is lost", cure) from None
    console.print(f"\nreport: {place.report}", soft_wrap=True, markup=False)
    console.print(f"model:  {place.model}", soft_wrap=True, markup=False)


def _resume(folder: Path, runs: Path) -> str:
    return f"fedmol run --resume --run-id {folder.name} --runs {runs}"


@contextmanager
def _kept(model: Path, resume: str) -> Iterator[None]:
    """Whatever ends the evaluation: the message says where the model is, and how the rest is done."""
    try:
        yield
    except (FedmolError, OSError) as error:
        ended = error if isinstance(error, FedmolError) else ended_by_the_system(error)
        raise FedmolError(
            ended.exit,
            f"the model is finished and kept in {model}, but could not be evaluated: {ended.message}",
            f"{ended.cure}; then continue with: {resume}",
        ) from None
    except Exception:
        click.echo(f"the model is finished and kept in {model}; continue with: {resume}", err=True)
        raise


def overrides_of(data: str | None, budget: float | None, changes: tuple[str, ...]) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise FedmolError(Exit.USAGE, f"--set {change}: that is not KEY=VALUE", "write --set training.rounds=4")
        try:
            overrides[key] = parse_yaml(value)
        except DocumentError:
            what = f"--set {change}: what follows = is not a value in YAML"
            raise FedmolError(Exit.USAGE, what, "close brackets and quotation marks, or put text into quotes") from None
    if data is not None:
        overrides["data.source"] = data
    if budget is not None:
        overrides["training.budget_minutes"] = budget
    return overrides


def _latest(runs: Path) -> Path:
    found = sorted(runs.glob(f"*/{RunFolder.settings.name}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise FedmolError(Exit.USAGE, f"there is no run in {os.fspath(runs)} to resume", "start one without --resume")
    return found[-1].parent
