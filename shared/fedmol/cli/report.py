"""fedmol report: write the report of a run folder anew."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write report.html and metrics.csv into the run folder RUN (runs/<id>), whether or not the run has finished."""
    from fedmol.report.metrics_csv import write_metrics
    from fedmol.report.pages import write_report

    click.echo(f"metrics: {write_metrics(run)}")
    click.echo(f"report:  {write_report(run)}")
