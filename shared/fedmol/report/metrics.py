"""metrics.csv: the figures of every round, one per row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from fedmol import files
from fedmol.report.record import RunRecord, read_record

_OF_A_ROUND = ("loss", "nll", "seconds", "seconds_outside_training", "aggregator_cpu_seconds")
_OF_AN_UPDATE = ("bytes", "norm", "molecules")
_EVERYBODY = "all"

Row = tuple[int, str, str, float]  # round, site, metric, value


def write_metrics(run: Path) -> Path:
    """Write `metrics.csv` of a run folder: round, site ("all" for the federation), metric, value.

    Raises:
        FedmolError: see `read_record`.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("round", "site", "metric", "value"), *rows(read_record(run))])
    path = run / "metrics.csv"
    files.write_text(path, text.getvalue())
    return path


def rows(record: RunRecord) -> list[Row]:
    """Sorted by round, then site, then metric."""
    return sorted({row[:3]: row for row in (*_rounds(record), *_updates(record))}.values())


def _rounds(record: RunRecord) -> Iterator[Row]:
    for one in record.rounds:
        for metric in _OF_A_ROUND:
            value = getattr(one, metric)
            if value is not None:
                yield one.number, _EVERYBODY, metric, value
        for metric, values in (("loss", one.site_loss), ("nll", one.site_nll), ("weight", one.weights)):
            yield from ((one.number, site, metric, value) for site, value in values.items())


def _updates(record: RunRecord) -> Iterator[Row]:
    for event in record.of_kind("update_received"):
        for metric in _OF_AN_UPDATE:
            if metric in event.fields:
                yield event.round or 0, event.site, metric, event.fields[metric]
