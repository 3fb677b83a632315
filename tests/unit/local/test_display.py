from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from fedmol.local.display import Display
from fedmol.telemetry.events.round_events import RoundFinished, RoundStarted, UpdateReceived
from fedmol.telemetry.events.run_events import RunStarted
from fedmol.telemetry.events.site_events import SiteJoined, SiteLost, SiteProgress, SiteRefused
from fedmol.telemetry.log import EventLog, parse, read
from tests.support.raw_log import append


def _log(path: Path) -> EventLog:
    log = EventLog(path / "events.jsonl", run="r", site="aggregator")
    log.write(RunStarted(rounds=4, sites=["north", "south"], quorum=1, parameters=250, model_bytes=1000))
    log.write(SiteJoined(molecules=1200), site="north")
    log.write(RoundStarted(), round=1)
    log.write(SiteProgress(step=3, steps=10, loss=2.5), site="north", round=1, phase="training")
    log.write(UpdateReceived(molecules=1200, bytes=1000, norm=1.0), site="north", round=1)
    of_sites = {"sites": ["north"], "weights": {"north": 1.0}, "site_loss": {}, "site_nll": {}, "model_digest": "d"}
    figures: dict[str, Any] = {"loss": 1.0, "nll": 80.0, "missing": ["south"], **of_sites}
    for round, seconds in ((1, 10.0), (2, 20.0)):
        log.write(RoundFinished(seconds=seconds, **figures), round=round)
    log.write(SiteLost(silent_seconds=61), site="south")
    log.write(SiteRefused(reason="certificate-name", detail="who?"), site="stranger")
    return log


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path) -> None:
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=False, width=200)) as display:
        display.show(list(read(_log(tmp_path).path)))
    said = out.getvalue()
    assert "north joined with 1,200 molecules" in said
    assert "round 1 of 4: loss 1.000, NLL on entering 80.00, 10.0 s, without south" in said
    assert "peer refused (stranger): certificate-name: who?" in said
    assert "\x1b" not in said


def test_a_terminal_gets_a_live_table(tmp_path: Path) -> None:
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=True, width=120)) as display:
        display.show(list(read(_log(tmp_path).path))[:4])
    assert "training 3/10" in out.getvalue()


HOSTILE = "[/x][bold]a\x1b[31mb\x07\u202ec\ud800" + "z" * 5000


def test_what_others_say_is_neither_markup_nor_a_control_code(tmp_path: Path) -> None:
    """Also where the log was written by somebody who does not keep to its rules."""
    path = tmp_path / "events.jsonl"
    append(path, "run_started", sites=["[/x]", "north"], rounds=1, quorum=1, parameters=1, model_bytes=1)
    append(path, "site_joined", site="[/x]", molecules=3)
    append(path, "site_refused", site="[bold]\x1b[2J", reason="[/y]", detail=HOSTILE[:500].replace("\ud800", ""))
    append(path, "update_refused", site="north", round=1, reason="\x1b]0;title\x07[link=x]")
    append(path, "site_progress", site="north", round=1, phase="[red]training\r", step=1)
    events = [parse(line) for line in path.read_bytes().splitlines()]
    for terminal in (True, False):
        out = io.StringIO()
        with Display(Console(file=out, force_terminal=terminal, width=200, color_system=None)) as display:
            display.show(events)
            display.note(HOSTILE)
        said = out.getvalue()
        assert "[/x][bold]a" in said
        assert "[/y]" in said
        assert not any(code in said for code in ("\x07", "\u202e", "\x1b[31m", "\x1b[2J\x1b]", "\x1b]0"))
        assert max(map(len, said.splitlines())) < 2000


def test_events_that_are_not_what_their_kind_is_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append(path, "checkpoint", path="x")
    append(path, "round_finished", round=1, loss="low")
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=False)) as display:
        display.show([parse(line) for line in path.read_bytes().splitlines()])
    assert out.getvalue() == ""
    assert display.run.misread == 1
