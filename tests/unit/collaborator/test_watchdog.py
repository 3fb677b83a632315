from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fedmol.fl.liveness import LONGEST, AwakeClock
from fedmol.heartbeat import Heart
from fedmol.telemetry.log import EventLog
from fedmol_collaborator import watchdog as module
from fedmol_collaborator.watchdog import FIRST, LEAST, Watchdog


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def watch(tmp_path: Path, time: Time) -> Watchdog:
    made = Watchdog(Heart(tmp_path), EventLog(tmp_path / "events.jsonl", run="r", site="north"), longest_call=10)
    made.clock = AwakeClock(clock=time)
    made._moved = 0.0
    return made


def _pass(watch: Watchdog, time: Time, seconds: float) -> None:
    """Time that the watch sees pass."""
    until = time.now + seconds
    while time.now < until:
        time.now = min(until, time.now + 1.0)
        watch.clock.look()


def test_first_steps_may_take_long_and_later_ones_are_measured_by_those_before(watch: Watchdog, time: Time) -> None:
    watch.enter("training")
    _pass(watch, time, FIRST - 1)
    assert not watch._is_hung()
    watch.moved()
    for _ in range(3):
        _pass(watch, time, 40)
        watch.moved()
    _pass(watch, time, 20 * 40 - 1)
    assert not watch._is_hung()
    _pass(watch, time, 2)
    assert watch._is_hung()


def test_quick_work_has_a_bound_of_minutes(watch: Watchdog, time: Time) -> None:
    watch.enter("sending")
    for _ in range(5):
        _pass(watch, time, 1)
        watch.moved()
    _pass(watch, time, LEAST)
    assert not watch._is_hung()
    _pass(watch, time, 1)
    assert watch._is_hung()


def test_a_process_that_slept_is_not_hung_when_it_wakes(watch: Watchdog, time: Time) -> None:
    watch.enter("training")
    time.now += 10 * FIRST
    assert not watch._is_hung()
    watch.clock.look()
    assert watch.clock() <= LONGEST
    assert not watch._is_hung()


def test_rest_has_no_bound_and_a_large_shard_a_long_one(watch: Watchdog, time: Time) -> None:
    watch.enter("reading shard", least=3 * FIRST)
    _pass(watch, time, 3 * FIRST - 1)
    assert not watch._is_hung()
    watch.rest()
    _pass(watch, time, 100 * FIRST)
    assert not watch._is_hung()


def test_a_log_that_hangs_too_does_not_keep_the_program(
    watch: Watchdog, time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, never = list[Any](), threading.Event()
    monkeypatch.setattr(module, "_LAST_WORDS", 0.2)
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(watch, "_tell", lambda: never.wait(30))
    watch.enter("training")
    _pass(watch, time, FIRST + 1)
    watch._watch()
    assert ended == [36]
    assert watch.hung.is_set()
    assert not (tmp_path / "alive").exists()
    never.set()
