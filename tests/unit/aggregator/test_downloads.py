"""Turns of taking the model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from fedmol_aggregator.openfl_adapter.downloads import Downloads


class Call:
    """A call's context: `end` is what gRPC does when the last byte has gone."""

    def __init__(self, patience: int = 3) -> None:
        self.patience, self.callbacks = patience, list[Callable[[], None]]()

    def is_active(self) -> bool:
        self.patience -= 1
        return self.patience >= 0

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self.callbacks.append(callback)
        return True

    def cancel(self) -> None:
        self.end()

    def end(self) -> None:
        for callback in self.callbacks:
            callback()


def _waits(turns: Downloads, call: Any, site: str | None = None) -> bool:
    return turns.wait_for_turn(site or str(id(call)), call)


def test_a_large_model_is_taken_by_one_at_a_time() -> None:
    turns, first, second = Downloads(2**30), Call(), Call()
    assert _waits(turns, first)
    assert not _waits(turns, second)  # its caller gave up
    first.end()
    assert _waits(turns, Call())


def test_small_models_are_taken_by_several() -> None:
    turns = Downloads(2**24)
    assert [_waits(turns, Call()) for _ in range(4)] == [True] * 3 + [False]


def test_a_slow_line_is_passed_by_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, slow, other = Downloads(2**30), Call(), Call()
    assert _waits(turns, slow)
    now = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert _waits(turns, other)
    assert not _waits(turns, Call())
    other.end()
    assert _waits(turns, Call())


def test_a_site_that_reads_nothing_holds_one_place() -> None:
    turns = Downloads(2**24)
    assert [_waits(turns, Call(), "west") for _ in range(10)] == [True] * 10
    assert [_waits(turns, Call()) for _ in range(3)] == [True] * 2 + [False]
