from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedmol.telemetry.log import EventLog
from tests.support.story import MODEL_BYTES, Story


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path, ["north", "south"])


@pytest.fixture
def site_log(tmp_path: Path) -> EventLog:
    """A site that has trained and sent once, and is training again."""
    log = EventLog(tmp_path / "events.jsonl", run="trial", site="north")
    for phase in ("connecting", "reading shard", "waiting for the others"):
        log.write("phase", phase=phase)
    for round in (1, 2):
        log.write("received", round=round, bytes=MODEL_BYTES)
        for phase in ("validating", "training"):
            log.write("phase", round=round, phase=phase)
        for step in (1, 4) if round == 1 else (2,):
            fields: dict[str, Any] = {
                "step": step,
                "steps": 4,
                "loss": float(step),
                "molecules_per_second": 9.0,
                "seconds_left": 3.0,
            }
            log.write("training_step", round=round, phase="training", **fields)
        if round == 1:
            log.write("phase", round=1, phase="sending")
            log.write("sent", round=1, tensors=[{"name": "model", "shape": [100], "bytes": 400}], bytes=400)
    return log
