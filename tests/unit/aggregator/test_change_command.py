"""`fedmol change`, and what the aggregator makes of what it writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from fedmol.cli.main import run
from fedmol.errors import Exit
from fedmol.heartbeat import Heart
from fedmol.pki import certificates
from fedmol.telemetry.events.run_events import Changed, RunFinished, SettingsChanged
from fedmol.telemetry.log import EventLog
from tests.support.desk import Desk, federation


class Coordinator:
    def __init__(self, desk: Desk) -> None:
        self.work, self.authority, self.course = desk.work, desk.authority, desk.start(federation())

    def end(self) -> None:
        self.course.events.write(
            RunFinished(outcome="complete", missing=[], missed_rounds={}, rounds=8, model_digest="0" * 64)
        )

    def change(self, *options: str, authority: Path | None = None) -> int:
        return run(["change", str(self.work), "--ca", str(authority or self.authority), *options])

    @contextmanager
    def working(self, open_round: int) -> Iterator[None]:
        """The aggregator's loop, as far as changes go, in a round that `fedmol change` may not know of yet."""
        over = threading.Event()

        def loop() -> None:
            heart = Heart(self.work)
            while not over.wait(0.02):
                heart.beat()
                self.course.collect(open_round)

        Heart(self.work).beat()
        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    monkeypatch.setattr("fedmol.cli.change._START", 0.3)
    return Coordinator(Desk(tmp_path))


def test_the_answer_of_the_aggregator_is_told(coordinator: Coordinator, capsys: pytest.CaptureFixture[str]) -> None:
    with coordinator.working(open_round=1):
        assert coordinator.change("--quorum", "1") == Exit.DONE
    assert "the aggregator has taken it up" in capsys.readouterr().out
    assert coordinator.course.changes.latest.quorum == 1


def test_a_change_that_comes_too_late_by_a_moment_is_an_error_and_bars_no_other(
    coordinator: Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    with coordinator.working(open_round=2):
        assert coordinator.change("--rounds", "30") == Exit.CHANGE_REFUSED
        assert "the first that it can is round 3" in capsys.readouterr().err
        assert coordinator.change("--rounds", "30", "--from-round", "3") == Exit.DONE
    assert coordinator.course.changes.latest.training.rounds == 30


def test_where_no_aggregator_works_the_change_waits(
    coordinator: Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        assert coordinator.change("--deadline", f"9{number}") == Exit.DONE
    assert "no aggregator works in that folder now" in capsys.readouterr().out
    assert [change.deadline for change in coordinator.course.collect(1)] == [91, 92]


def test_a_change_of_another_authority_that_waits_is_named(
    coordinator: Coordinator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates.make_ca(tmp_path / "other", "fedmol", timedelta(days=1))
    assert coordinator.change("--quorum", "1", authority=tmp_path / "other") == Exit.DONE
    assert coordinator.change("--quorum", "1") == Exit.CHANGE_REFUSED
    assert "0001.json is waiting to be taken up, and cannot be" in capsys.readouterr().err


def test_nothing_of_a_run_that_is_over_can_change(coordinator: Coordinator, capsys: pytest.CaptureFixture[str]) -> None:
    coordinator.end()
    assert coordinator.change("--rounds", "30") == Exit.CHANGE_REFUSED
    assert "the run is over" in capsys.readouterr().err


def test_a_site_s_folder_is_not_taken_for_the_aggregator_s(
    coordinator: Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    log = EventLog(coordinator.work / "site" / "events.jsonl", run="trial-1", site="north")
    log.write(SettingsChanged(number=1, changes=Changed(rounds=12)), round=3)
    command = ["change", str(log.path.parent), "--ca", str(coordinator.authority), "--rounds", "30"]
    assert run(command) == Exit.STATE_UNUSABLE
    assert "is not an aggregator's event log" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--rounds", "99999999999"), "--rounds"),
        (("--quorum", "-1"), "--quorum"),
        (("--rounds", "40", "--grace", "0"), "--grace"),
        (("--deadline", "nan"), "--deadline"),
        (("--join-deadline", "-3"), "--join-deadline"),
        (("--lost-after", "inf"), "--lost-after"),
        (("--add", "No Body"), "--add"),
        (("--add", "aggregator"), "--add"),
        (("--accept-shard", ""), "--accept-shard"),
    ],
)
def test_what_no_entry_can_be_is_named(
    coordinator: Coordinator, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], named: str
) -> None:
    assert coordinator.change(*options) == Exit.USAGE
    assert f"error: {named}: " in capsys.readouterr().err
    assert list(coordinator.course.inbox.iterdir()) == []
