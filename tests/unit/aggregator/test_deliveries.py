from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from fedmol.telemetry.log import EventLog, read
from fedmol_aggregator.deliveries import Deliveries


def test_a_site_counts_once_it_is_written_down_that_it_holds_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the site says so for the first time."""
    log = EventLog(tmp_path / "events.jsonl", run="trial", site="aggregator")
    deliveries, write = Deliveries(log), log.write

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log, "write", full)
    with pytest.raises(OSError, match="No space"):
        deliveries.note("north", "d" * 64)
    assert deliveries.missing({"north"}) == {"north"}
    monkeypatch.setattr(log, "write", write)
    for _ in range(2):
        deliveries.note("north", "d" * 64)
    assert deliveries.missing({"north"}) == set()
    assert [event.kind for event in read(log.path)] == ["model_delivered"]
    assert Deliveries(log).missing({"north", "south"}) == {"south"}
