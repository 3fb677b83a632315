"""Signs of life: regular, of the phase that the site is in, and silent when it hangs or is over."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fedmol.fl.messages import Progress
from fedmol.heartbeat import Heart
from fedmol.telemetry.log import EventLog, read
from fedmol_collaborator import progress_reporter
from fedmol_collaborator.progress_reporter import ProgressReporter
from fedmol_collaborator.watchdog import Watchdog

LONG = 30.0  # seconds after which a test gives up


class Line:
    """What the aggregator hears; `failing` loses the first of it."""

    def __init__(self, failing: int = 0) -> None:
        self.heard: list[Progress] = []
        self.failing = failing
        self.third = threading.Event()

    def __call__(self, progress: Progress, stop: threading.Event, patience: float) -> None:
        self.heard.append(progress)
        if len(self.heard) >= 3:
            self.third.set()
        if len(self.heard) <= self.failing:
            raise ConnectionError("lost")


@pytest.fixture
def events(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl", run="r", site="north")


@pytest.fixture
def watch(tmp_path: Path, events: EventLog) -> Watchdog:
    return Watchdog(Heart(tmp_path), events, longest_call=10)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_reporter, "_PERIOD", 0.001)


def _reporter(line: Line, watch: Watchdog) -> ProgressReporter:
    hello = Progress(run="r", peer="c-0123456789abcdef", round=None, phase="connecting")
    return ProgressReporter(watch.events, hello, line, watch)


def test_the_aggregator_hears_again_and_again_what_the_site_does(watch: Watchdog) -> None:
    reporter = _reporter(line := Line(), watch)
    reporter.phase("training", 2)
    reporter.step(step=3, steps=4, loss=1.5)
    reporter.start()
    assert line.third.wait(LONG)
    reporter.stop()
    assert {(one.phase, one.round, one.step, one.loss) for one in line.heard} == {("training", 2, 3, 1.5)}


def test_a_phase_is_in_the_log_and_leaves_nothing_of_the_one_before(watch: Watchdog, events: EventLog) -> None:
    reporter = _reporter(Line(), watch)
    reporter.phase("training", 2)
    reporter.step(step=3, steps=4, loss=1.5)
    reporter.phase("sending", 2)
    assert (reporter.progress.run, reporter.progress.peer) == ("r", "c-0123456789abcdef")
    assert (reporter.progress.phase, reporter.progress.step, reporter.progress.loss) == ("sending", 0, None)
    assert [(event.kind, event.phase, event.round) for event in read(events.path)] == [
        ("phase", "training", 2),
        ("phase", "sending", 2),
    ]


def test_messages_that_are_lost_do_not_end_it(watch: Watchdog) -> None:
    reporter = _reporter(line := Line(failing=2), watch)
    reporter.start()
    assert line.third.wait(LONG)
    reporter.stop()


def test_the_end_is_said_once_and_nothing_after_it(watch: Watchdog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_reporter, "_PERIOD", LONG)
    reporter = _reporter(line := Line(), watch)
    reporter.start()
    reporter.phase("stopped")
    reporter.stop()
    assert [one.phase for one in line.heard] == ["stopped"]
    assert not reporter._thread.is_alive()


def test_a_site_that_hangs_is_silent(watch: Watchdog) -> None:
    reporter = _reporter(line := Line(), watch)
    watch.hung.set()
    reporter.start()
    reporter._thread.join(LONG)
    assert not reporter._thread.is_alive()
    assert line.heard == []


def test_the_watch_sees_phases_and_steps(watch: Watchdog, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(watch, "enter", seen.append)
    monkeypatch.setattr(watch, "moved", lambda: seen.append("moved"))
    reporter = _reporter(Line(), watch)
    reporter.phase("validating", 1)
    reporter.step(step=1)
    assert seen == ["validating", "moved"]
