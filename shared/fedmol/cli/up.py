"""fedmol up, down, disturb: a federation played in containers on this machine."""

from __future__ import annotations

import signal
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from fedmol.cli.run import overrides_of
from fedmol.errors import Exit, FedmolError
from fedmol.run_folder import RunFolder
from fedmol.runtime import RUN_ID

if TYPE_CHECKING:
    from fedmol.containers import compose_runner

_PATH = click.Path(path_type=Path)
_RUNS = click.option("--runs", type=_PATH, default=Path("runs"), show_default=True, help="folder that holds the runs")
_RESULTS = "/results"


@click.command("up")
@click.option("--settings", "path", type=_PATH, default=Path("federation.yaml"), show_default=True)
@click.option("--sites", type=click.IntRange(min=1), help="number of sites: those in the settings first, then new ones")
@click.option("--data", help='"embedded", "qm9", or a file of molecules; overrides data.source')
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="override any setting")
@click.option("--monitoring", is_flag=True, help="add Prometheus and Grafana")
@click.option("--run-id", type=RUN_ID, help="name of the run  [default: from the date]")
@click.option("--keep", is_flag=True, help="keep the containers when the run is over")
@_RUNS
def up(
    path: Path,
    sites: int | None,
    data: str | None,
    changes: tuple[str, ...],
    monitoring: bool,
    run_id: str | None,
    keep: bool,
    runs: Path,
) -> None:
    """Run a federation in containers, as `docker compose up` does, with any number of sites.

    Call it in the project's folder, after `make images`. It shows the run, puts the report into runs/<id>/, and removes
    the containers and volumes. When interrupted it stops the containers; the same call with --run-id continues.
    """
    from fedmol.containers.compose_project import ComposeProject
    from fedmol.containers.compose_runner import (
        Deployment,
        bring_data,
        bring_up,
        deployment_in,
        follow,
        named_sites,
        write_deployment,
    )
    from fedmol.fl.federation import load
    from fedmol.local.display import Display

    console, overrides = Console(), overrides_of(data, None, changes)
    if sites is not None:
        overrides["sites"] = named_sites(load(path), sites)
    folder = runs / (run_id or f"containers-{datetime.now():%Y%m%d-%H%M%S}")
    consortium = ComposeProject.reach(Deployment(folder).project)
    stage = deployment_in(folder) or write_deployment(bring_data(load(path, overrides)), folder)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        bring_up(stage, consortium, monitoring=monitoring)
        for service, page in consortium.pages().items():
            console.print(f"{page}  {service}", highlight=False)
        with Display(console) as display:
            follow(consortium, display)
        consortium.fetch("evaluator", _RESULTS, folder)
    except KeyboardInterrupt:
        stage.compose("stop")
        cure = f"continue: fedmol up --run-id {folder.name} --runs {runs}; or remove it: fedmol down {folder.name}"
        raise FedmolError(Exit.INTERRUPTED, "interrupted; the containers are stopped, nothing is lost", cure) from None
    if not keep:
        stage.take_down()
    console.print(f"\nreport: {RunFolder(folder).report}", soft_wrap=True, markup=False)


@click.command("down")
@click.argument("run_id")
@_RUNS
def down(run_id: str, runs: Path) -> None:
    """Remove the containers, volumes and networks of RUN_ID. Its folder in runs/ stays."""
    _stage(run_id, runs).take_down()


@click.command("disturb")
@click.argument("run_id")
@click.argument("party")
@click.argument("how")
@click.option("--share", default=0.1, show_default=True, help="share of one core, for `slow`")
@_RUNS
def disturb(run_id: str, party: str, how: str, share: float, runs: Path) -> None:
    """Disturb container PARTY of RUN_ID, and see how the federation copes.

    \b
    HOW is one of
      kill, stop, start      kill the program, ask it to stop, start it again
      pause, resume          freeze it, and thaw it
      cut, mend              cut its network to the aggregator, and restore it
      slow, hurry            limit it to --share of one core, and lift the limit
    """
    from fedmol.containers.compose_project import DISTURBANCES, ComposeProject

    if how not in DISTURBANCES:
        raise click.UsageError(f"{how!r} is none of {', '.join(DISTURBANCES)}")
    ComposeProject.reach(_stage(run_id, runs).project).disturb(party, how, share)
    click.echo(f"{party}: {how}")


def _stage(run_id: str, runs: Path) -> compose_runner.Deployment:
    from fedmol.containers.compose_runner import deployment_in

    stage = deployment_in(runs / run_id)
    if stage is None:
        raise FedmolError(
            Exit.USAGE, f"{runs / run_id} holds no run in containers", "name one that `fedmol up` has made"
        )
    return stage
