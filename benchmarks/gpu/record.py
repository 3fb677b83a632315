"""The record of a run: one JSON object a line, each on disk before the next measurement begins."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path("bench/gpu")  # where runs are kept, each in a folder of its own
NAME = "record.jsonl"

Entry = dict[str, Any]


class Record:
    """Appends to FOLDER/record.jsonl, and says aloud what it writes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME

    def add(self, kind: str, **fields: Any) -> None:
        """Write an entry; it is on disk when this returns. Numbers that are not finite are written as null."""
        entry = {"kind": kind, **{name: _finite(value) for name, value in fields.items()}}
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
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def entries(folder: Path) -> list[Entry]:
    """Whatever is whole in the record of `folder`, in order; nothing where there is none."""
    path = folder / NAME
    found: list[Entry] = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off in mid-line
        if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
            found.append(entry)
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"value": statistics.median(values), "low": min(values), "high": max(values)}
