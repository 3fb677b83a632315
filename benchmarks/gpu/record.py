"""The record of a run: one JSON object a line, each on disk before the next measurement begins."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedmol.errors import Exit, FedmolError

FOLDER = Path("bench/gpu")  # where runs are kept, each in a folder of its own
NAME = "record.jsonl"

_LARGEST = 64 * 2**20  # bytes of a record

Entry = dict[str, Any]


class Record:
    """Appends to FOLDER/record.jsonl, and says aloud what it writes; `stage` is part of every entry."""

    def __init__(self, folder: Path, stage: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.stage = folder / NAME, stage

    def add(self, kind: str, **fields: Any) -> None:
        """Write an entry; it is on disk when this returns. Numbers that are not finite are written as null."""
        entry = {"kind": kind, "in": self.stage, **{name: _finite(value) for name, value in fields.items()}}
        text = json.dumps(entry, allow_nan=False)
        print(text, flush=True)
        with open(self.path, "a+b") as file:
            if file.tell() and not _ends_whole(file):
                file.write(b"\n")  # a process was ended in mid-line: that line is lost, the next ones are not
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _ends_whole(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def entries(folder: Path) -> list[Entry]:
    """Whatever is whole in the record of `folder`, in order; nothing where there is none.

    Raises:
        FedmolError: BAD_DATA when the file is too large to be a record.
    """
    path = folder / NAME
    if not path.exists():
        return []
    if path.stat().st_size > _LARGEST:
        raise FedmolError(Exit.BAD_DATA, f"{path} is larger than any record of a run", "name the folder of a run")
    found: list[Entry] = []
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line, parse_constant=_refused)
        except (ValueError, RecursionError):
            continue  # cut off in mid-line
        if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
            found.append(entry)
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"value": statistics.median(values), "low": min(values), "high": max(values)}
