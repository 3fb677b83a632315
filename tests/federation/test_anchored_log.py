"""The aggregator's log, held against what real sites keep of it: clean, over kills, and whatever is done to it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmol.cli.main import run as fedmol
from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.telemetry.events.round_events import LogAnchored, RoundFinished
from fedmol.telemetry.log import FIRST, digest
from tests.support.stage import AGGREGATOR, Stage, small_settings

Build = Callable[[Settings], Stage]


def _verify(stage: Stage, log: Path) -> int:
    against = [word for site in stage.sites for word in ("--against", str(stage.folder / "sites" / site))]
    return fedmol(["log", "verify", str(log), *against, "--ca", str(stage.folder / "certs" / "authority" / "ca.crt")])


def _is_clean(stage: Stage, capsys: pytest.CaptureFixture[str]) -> str:
    assert _verify(stage, stage.folder / AGGREGATOR) == Exit.DONE
    closing = stage.events(RoundFinished)[-1]
    said = capsys.readouterr().out
    assert f"lines 1 to {closing.seq + 1}, up to the end of round {closing.round}, match" in said
    return said


def test_every_site_keeps_an_anchor_of_every_round(undisturbed: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    said = _is_clean(undisturbed, capsys)
    closed = [(event.round, event.seq, event.body.model_digest) for event in undisturbed.events(RoundFinished)]
    for site in undisturbed.sites:
        assert f"site {site} keeps 3 anchors (rounds 1\N{EN DASH}3), signed by aggregator" in said
        kept = undisturbed.events(LogAnchored, site)
        assert [(e.round, e.body.log_seq, e.body.model_digest) for e in kept] == closed


def test_what_is_done_to_the_log_is_found(
    undisturbed: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = undisturbed.events_path().read_bytes().splitlines(keepends=True)
    closing = [event.seq for event in undisturbed.events(RoundFinished)]
    place, path = closing[0] + 1, tmp_path / "events.jsonl"  # a line of round 2
    changed = json.dumps({**json.loads(whole[place]), "time": "2026-01-01T00:00:00.000+00:00"}).encode() + b"\n"
    for lines, named in (
        ([*whole[:place], changed, *whole[place + 1 :]], f"line {place + 1} was changed"),
        ([*whole[:place], *whole[place + 1 :]], f"1 line was removed after line {place}"),
        ([*whole[:place], changed, *whole[place:]], f"line {place + 1} was added"),
        ([*whole[:place], whole[place + 1], whole[place], *whole[place + 2 :]], "was moved"),
        (
            _anew([*whole[:place], changed, *whole[place + 1 :]]),
            f"of lines {place + 1} to {closing[1] + 1} at least one was rewritten",
        ),
        (whole[: closing[1]], f"the log was cut off: it ends with line {closing[1]}"),
    ):
        path.write_bytes(b"".join(lines))
        assert _verify(undisturbed, path) == Exit.LOG_TAMPERED, named
        assert named in capsys.readouterr().out
    path.write_bytes(b"".join(whole[: closing[2] + 1]) + whole[-1][:30])  # a power cut
    assert _verify(undisturbed, path) == Exit.DONE


def _anew(lines: list[bytes]) -> list[bytes]:
    previous, done = FIRST, []
    for line in lines:
        done.append(json.dumps({**json.loads(line), "previous": previous}).encode() + b"\n")
        previous = digest(done[-1][:-1])
    return done


@pytest.mark.parametrize(
    ("party", "target", "when", "nth"),
    [
        pytest.param(AGGREGATOR, "fedmol.telemetry.log:EventLog.sync", "before", 3, id="before-the-log-is-on-the-disk"),
        pytest.param(
            "west", "fedmol_collaborator.known_anchors:KnownAnchors.take", "after", 3, id="site-has-been-told"
        ),
    ],
)
def test_killed_around_an_anchor(
    undisturbed: Stage,
    stage: Build,
    capsys: pytest.CaptureFixture[str],
    party: str,
    target: str,
    when: str,
    nth: int,
) -> None:
    run = stage(small_settings())
    run.start(*(name for name in run.parties if name != party))
    run.crash(party, target, when, nth)
    assert run.wait(party) == -signal.SIGKILL
    run.start(party)
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0)
    for site in run.sites:
        assert [event.round for event in run.events(LogAnchored, site)] == [1, 2, 3]
    _is_clean(run, capsys)
    assert run.checkpoint(3).tobytes() == undisturbed.checkpoint(3).tobytes()


def test_an_aggregator_with_an_older_log_than_a_site_was_told_of(stage: Build) -> None:
    """As after a log was restored from a backup of before the round: a site that is started again refuses it."""
    run = stage(small_settings(sites=[{"name": "west"}]))
    run.start(AGGREGATOR)
    run.crash("west", "fedmol_collaborator.known_anchors:KnownAnchors.take", "after", 2)
    assert run.wait("west") == -signal.SIGKILL
    run.signal(AGGREGATOR, signal.SIGKILL)
    run.wait(AGGREGATOR)
    path, backup = run.events_path(), run.folder / "backup.jsonl"
    shutil.copy(path, backup)
    (closing,) = run.events(RoundFinished)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: closing.seq - 1]))
    run.start()
    assert run.wait("west") == Exit.AGREEMENT_BROKEN, run.log("west")
    assert "the aggregator's signature under its event log of round 1 names line" in run.parties["west"].last_words()
    assert _verify(run, path) == Exit.LOG_TAMPERED
    assert _verify(run, backup) == Exit.DONE
