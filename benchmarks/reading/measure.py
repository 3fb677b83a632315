"""Reading a whole source, and the same rows in every dialect; every row is accounted for, or this fails."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.origin import ROOT
from benchmarks.reading.dialects import BAD, DIALECTS, PLAIN, Row, rows_of
from fedmol.chem import vocabulary as vocabularies
from fedmol.data.card import DataCard
from fedmol.data.columns import DEFAULT
from fedmol.data.molecule_files import read_table
from fedmol.data.shards import build_shard, open_shard

Figures = dict[str, dict[str, Any]]

# The process that is measured: with a module as its main program, each worker would load that one, too.
_PROGRAM = "from benchmarks.reading import measure; measure.main()"
_OFTEN = 0.25  # seconds between two looks at the processes' memory
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)  # the most that a process ever had in memory
_SHARE = 0.05  # for validation


def rows(card: DataCard) -> dict[str, Any]:
    """What became of the rows, which have to add up."""
    rejected = {reason: rejection.count for reason, rejection in card.rejected.items()}
    assert card.read == card.kept + card.duplicates + sum(rejected.values()) + card.blank, card
    return {
        "value": card.read,
        "kept": card.kept,
        "duplicates": card.duplicates,
        "rejected": rejected,
        "blank": card.blank,
    }


def source(name: str, path: Path, vocabulary: str) -> Figures:
    """Of all rows of a file, read by a process of its own and opened once more from the cache by another one."""
    with tempfile.TemporaryDirectory() as cache:
        read, peak = _by_another_process(path, vocabulary, cache)
        again, peak_again = _by_another_process(path, vocabulary, cache)
    assert read["rows"] == again["rows"], (read, again)
    return {
        f"{name}/rows": read["rows"],
        f"{name}/vocabulary": {"value": vocabulary},
        f"{name}/seconds": {"value": read["seconds"]},
        f"{name}/processor_seconds": {"value": read["processor_seconds"]},
        f"{name}/molecules_a_second": {"value": read["rows"]["value"] / read["seconds"]},
        f"{name}/peak_bytes": {"value": peak},
        f"{name}/seconds_from_cache": {"value": again["seconds"]},
        f"{name}/peak_bytes_from_cache": {"value": peak_again},
    }


def _by_another_process(path: Path, vocabulary: str, cache: str) -> tuple[dict[str, Any], int]:
    """What it says, and the sum of the peaks of the process and of all that it started."""
    command = [sys.executable, "-c", _PROGRAM, str(path), vocabulary, cache]
    peaks: dict[int, int] = {}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peaks |= dict(_peaks(process.pid))
            time.sleep(_OFTEN)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    told = json.loads(said)
    return told, sum((peaks | {process.pid: told["peak_bytes"]}).values())


def _peaks(pid: int) -> Iterator[tuple[int, int]]:
    """(process, bytes at its peak) of the process and its descendants that have any memory now."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        if peak := _peak(process.pid):
            yield process.pid, peak


def _peak(pid: int | str) -> int:
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def main() -> None:
    """Say, as JSON, what this process needs to open the shard of FILE VOCABULARY CACHE."""
    path, vocabulary, cache = sys.argv[1:]
    began = time.perf_counter(), _processor_seconds()
    shard = open_shard(Path(path), DEFAULT, vocabularies.get(vocabulary), _SHARE, Path(cache))
    for graphs in (shard.training, shard.validation):
        assert graphs.fits()
    told = {
        "rows": rows(shard.card),
        "seconds": time.perf_counter() - began[0],
        "processor_seconds": _processor_seconds() - began[1],
        "peak_bytes": _peak("self"),
    }
    print(json.dumps(told))


def _processor_seconds() -> float:
    """Of this process and those that it has seen end."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def dialects(molecules: Sequence[str], vocabulary: str) -> Figures:
    """Of the same rows in every dialect: the kept molecules must be those of the plain table."""
    figures: Figures = {}
    written, expected = rows_of(molecules), set[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name, dialect in DIALECTS.items():
            path = Path(folder, dialect.file)
            dialect.write(path, written)
            began = time.perf_counter()
            table = read_table(path)
            parsed = time.perf_counter()
            shard = build_shard(table, vocabularies.get(vocabulary), _SHARE)
            seconds, found = time.perf_counter() - began, rows(shard.card)
            expected = {*shard.smiles} if name == PLAIN else expected
            assert {*shard.smiles} == expected, name
            _check_rows(found, written, dialect.holds_blank)
            figures[f"dialect/{name}/rows"] = found
            figures[f"dialect/{name}/bytes"] = {"value": path.stat().st_size}
            figures[f"dialect/{name}/rows_a_second"] = {"value": found["value"] / seconds}
            figures[f"dialect/{name}/rows_a_second_without_chemistry"] = {"value": found["value"] / (parsed - began)}
    return figures


def _check_rows(found: dict[str, Any], written: Sequence[Row], holds_blank: bool) -> None:
    """Every row that was written is there as what it is."""
    blank, bad = (sum(row.smiles in kind for row in written) for kind in (("",), BAD))
    assert found["value"] == len(written), (found, len(written))
    assert found["blank"] == (blank if holds_blank else 0), (found, blank)
    assert sum(found["rejected"].values()) == bad + (0 if holds_blank else blank), (found, bad)
