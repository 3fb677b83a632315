from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from fedmol.cli.report import report
from fedmol.report.metrics_csv import write_metrics


def rows(path: Path) -> dict[tuple[str, str, str], float]:
    with path.open(newline="") as file:
        return {(row["round"], row["site"], row["metric"]): float(row["value"]) for row in csv.DictReader(file)}


def test_every_round_and_site_has_its_figures(finished: Any) -> None:
    found = rows(write_metrics(finished.path))
    assert found["1", "all", "loss"] == 3.5
    assert found["2", "all", "nll"] == 60.0
    assert found["1", "west", "weight"] == 0.1
    assert ("2", "west", "weight") not in found
    assert found["2", "north", "weight"] == 2 / 3
    assert found["1", "south", "bytes"] == 49380
    assert found["2", "all", "seconds_outside_training"] == 1.25


def test_rows_are_in_order(finished: Any) -> None:
    with write_metrics(finished.path).open(newline="") as file:
        keys = [(int(row["round"]), row["site"], row["metric"]) for row in csv.DictReader(file)]
    assert keys == sorted(set(keys))


def test_a_run_without_rounds_has_a_heading_only(folder: Any) -> None:
    assert write_metrics(folder.settings().path).read_text() == "round,site,metric,value\n"


def test_the_command_writes_both_files(finished: Any) -> None:
    result = CliRunner().invoke(report, [str(finished.path)])
    assert result.exit_code == 0
    assert (finished.path / "report.html").exists()
    assert (finished.path / "metrics.csv").exists()
