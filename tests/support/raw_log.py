"""Lines of an event log that the writer would not write: of later versions, or of somebody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedmol.telemetry.log import FIRST, digest

TIME = "2026-11-27T00:00:00.000+00:00"


def append(path: Path, kind: Any, /, **said: Any) -> None:
    """One more line, with the number and the hash that it must have. `said` may have entries of the head."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    head = {"seq": len(lines), "time": TIME, "run": "trial", "site": "aggregator", "round": None, "phase": None}
    record = {**head, "kind": kind, **said, "previous": digest(lines[-1]) if lines else FIRST}
    with path.open("ab") as file:
        file.write(json.dumps(record).encode() + b"\n")
