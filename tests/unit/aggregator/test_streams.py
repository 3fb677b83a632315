"""The bodies of calls: they are handed on as they come, and given up when they stop coming."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from fedmol_aggregator.openfl_adapter import streams as module
from fedmol_aggregator.openfl_adapter.streams import Gone, Streams

LONG = 30.0  # seconds after which a test gives up


class Context:
    def __init__(self) -> None:
        self.active, self.cancelled = True, threading.Event()

    def peer(self) -> str:
        return "ipv4:192.0.2.7:5000"

    def is_active(self) -> bool:
        return self.active

    def cancel(self) -> None:
        self.active = False
        self.cancelled.set()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delivered() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def streams(clock: Clock, delivered: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    """Their watch looks all the time."""
    monkeypatch.setattr(module, "_PERIOD", 0.001)
    made, stop = Streams(60.0, lambda *what: delivered.append(what), clock), threading.Event()
    thread = threading.Thread(target=made.watch, args=(stop,))
    thread.start()
    yield made
    stop.set()
    thread.join()


def _read(streams: Streams, messages: Iterator[bytes], context: Context) -> list[bytes]:
    with streams.reading(messages, context) as incoming:
        return list(incoming)


def test_messages_are_handed_on_and_counted_by_connection(streams: Streams, delivered: list[tuple[str, int]]) -> None:
    assert _read(streams, iter([b"one", b"three"]), Context()) == [b"one", b"three"]
    assert delivered == [("ipv4:192.0.2.7:5000", 3), ("ipv4:192.0.2.7:5000", 5)]


def test_a_body_that_ends_because_the_caller_left_is_not_whole(streams: Streams) -> None:
    context = Context()
    context.active = False
    with pytest.raises(Gone):
        _read(streams, iter([b"a part"]), context)


def _stalled(context: Context, clock: Clock, seconds: float) -> Iterator[bytes]:
    """The next message does not come for `seconds`, nor afterwards, until the call is cancelled."""
    yield b"first"
    clock.now += seconds
    assert context.cancelled.wait(LONG)


@pytest.mark.parametrize("seconds", [20.5, 61.0])
def test_a_body_that_stops_coming_is_given_up(streams: Streams, clock: Clock, seconds: float) -> None:
    context = Context()
    with pytest.raises(Gone):
        _read(streams, _stalled(context, clock, seconds), context)


def _slow(clock: Clock, context: Context) -> Iterator[bytes]:
    while not context.cancelled.wait(0.01):
        clock.now += 15.0
        yield b"a little"


def test_a_body_that_comes_too_slowly_is_given_up(streams: Streams, clock: Clock) -> None:
    context = Context()
    with pytest.raises(Gone):
        _read(streams, _slow(clock, context), context)
    assert clock.now > 60


def test_a_call_that_is_done_or_works_is_not_given_up(streams: Streams, clock: Clock) -> None:
    done, working, other = Context(), Context(), Context()
    _read(streams, iter([b"one"]), done)
    with streams.reading(iter([b"one"]), working) as incoming:
        assert next(incoming) == b"one"
        clock.now += 1000.0  # in which the round is closed with what came
        with pytest.raises(Gone):
            _read(streams, _stalled(other, clock, 21.0), other)
        assert not working.cancelled.is_set()
    assert not done.cancelled.is_set()
