"""metrics.csv: the figures of every round, one per row, ready for a spreadsheet or `pandas.read_csv`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from fedmol import files
from fedmol.report.run_record import RunRecord, read_record
from fedmol.run_folder import RunFolder

_OF_A_ROUND = ("loss", "nll", "seconds", "seconds_outside_training", "aggregator_cpu_seconds")
_OF_AN_UPDATE = ("bytes", "norm", "molecules")
_EVERYBODY = "all"

Row = tuple[int, str, str, float]  # round, site, metric, value


def write_metrics(run: Path) -> Path:
    """Write `metrics.csv` of a run folder.

    Raises:
        FedmolError: see `read_record`.
    """
    path = RunFolder(run).metrics
    files.write_text(path, metrics(read_record(run)).to_csv(index=False), files.GROUP)
    return path


def metrics(record: RunRecord) -> pd.DataFrame:
    """The columns round, site ("all" for the federation), metric and value, sorted by the first three.

    Of a round that was played again after a restart, the last account counts.
    """
    keys = ["round", "site", "metric"]
    table = pd.DataFrame([*_rounds(record), *_updates(record)], columns=[*keys, "value"])
    return table.drop_duplicates(keys, keep="last").sort_values(keys, ignore_index=True)


def _rounds(record: RunRecord) -> Iterator[Row]:
    for round in record.rounds:
        for metric in _OF_A_ROUND:
            value = getattr(round, metric)
            if value is not None:
                yield round.number, _EVERYBODY, metric, value
        for metric, values in (("loss", round.site_loss), ("nll", round.site_nll), ("weight", round.weights)):
            yield from ((round.number, site, metric, value) for site, value in values.items())


def _updates(record: RunRecord) -> Iterator[Row]:
    for round in record.run.rounds.values():
        for site, update in round.updates.items():
            yield from ((round.number, site, metric, getattr(update, metric)) for metric in _OF_AN_UPDATE)
