from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from fedmol.events import EventLog, read
from fedmol.federation.status import FederationStatus
from fedmol.simulation.display import Display, describe


def _log(path: Path) -> EventLog:
    log = EventLog(path / "events.jsonl", run="r", site="aggregator")
    log.write("run_started", rounds=4, sites=["north", "south"], model_bytes=1000)
    log.write("site_joined", site="north", molecules=1200)
    log.write("round_started", round=1)
    log.write("site_progress", site="north", round=1, phase="training", step=3, steps=10, loss=2.5)
    log.write("update_received", site="north", round=1, bytes=1000)
    for round, seconds in ((1, 10.0), (2, 20.0)):
        log.write("round_finished", round=round, seconds=seconds, loss=1.0, nll=80.0, missing=["south"])
    log.write("site_lost", site="south", silent_seconds=61)
    log.write("site_refused", site="stranger", reason="certificate-name", detail="who?")
    return log


def test_the_status_is_what_the_log_says(tmp_path: Path) -> None:
    status = FederationStatus()
    status.follow(read(_log(tmp_path).path))
    assert (status.run, status.round, status.rounds) == ("r", 1, 4)
    north, south = status.sites["north"], status.sites["south"]
    assert (north.phase, north.step, north.loss, north.sent_bytes, north.molecules) == ("waiting", 3, 2.5, 1000, 1200)
    assert south.phase == "lost"
    assert status.seconds_left == 30.0
    assert [event.site for event in status.refusals] == ["stranger"]


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path) -> None:
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=False, width=200), FederationStatus()) as display:
        display.show(list(read(_log(tmp_path).path)))
    said = out.getvalue()
    assert "north joined with 1,200 molecules" in said
    assert "round 1 of 4: loss 1.000, NLL on entering 80.00, 10.0 s, without south" in said
    assert "refused stranger: certificate-name (who?)" in said
    assert "\x1b" not in said


def test_a_terminal_gets_a_live_table(tmp_path: Path) -> None:
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=True, width=120), FederationStatus()) as display:
        display.show(list(read(_log(tmp_path).path))[:4])
    assert "training 3/10" in out.getvalue()


def test_every_line_for_people_can_be_made_from_a_bare_event(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", run="r", site="aggregator")
    log.write("checkpoint", path="x")
    assert [describe(event, FederationStatus()) for event in read(log.path)] == [None]
