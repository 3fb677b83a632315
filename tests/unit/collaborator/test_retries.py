"""What may pass is tried again for a while, at times that no two sites have in common; what will not pass is not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc
import pytest

from fedmol.errors import Exit, FedmolError
from fedmol_collaborator.retries import Retries, describe


class Away(grpc.RpcError):  # type: ignore[misc]
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "connection\x1b[31m reset"


class Waits(threading.Event):
    """Notes how long is waited instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return False


def _waits(count: int) -> list[float]:
    stop, calls = Waits(), 0

    def fails() -> int:
        nonlocal calls
        calls += 1
        if calls <= count:
            raise ConnectionError("away")
        return calls

    assert Retries("here", 1e9, stop, clock=lambda: 0.0).persist(fails) == count + 1
    return stop.seconds


def test_waits_grow_to_a_bound_and_differ_from_site_to_site() -> None:
    sites = [_waits(12) for _ in range(20)]
    assert max(max(one) for one in sites) <= 5.0
    assert min(min(one) for one in sites) > 0.0
    assert sum(one[0] for one in sites) < sum(one[-1] for one in sites) / 4
    assert len({round(one[-1], 3) for one in sites}) > 15


def test_time_that_the_process_was_not_awake_does_not_count() -> None:
    now = [0.0]
    patience = Retries("here", 10.0, threading.Event(), clock=lambda: now[0])

    def fails() -> None:
        now[0] += 6.0
        raise ConnectionError("away")

    with pytest.raises(FedmolError) as caught:
        patience.persist(fails)
    assert caught.value.exit is Exit.AGGREGATOR_UNREACHABLE
    assert now == [12.0]


def _failing(times: int, calls: list[str]) -> Callable[[], str]:
    """A call that says so each time it is made, and works once it has failed so often."""

    def call() -> str:
        calls.append("call")
        if calls.count("call") <= times:
            raise Away
        return "done"

    return call


def test_something_can_be_done_before_each_further_attempt() -> None:
    calls: list[str] = []
    patience = Retries("here", 1e9, Waits())
    assert patience.persist(_failing(2, calls), between=lambda: calls.append("between")) == "done"
    assert calls == ["call", "between", "call", "between", "call"]


def test_what_is_no_failure_of_the_line_is_not_tried_again() -> None:
    calls: list[str] = []

    def call() -> None:
        calls.append("call")
        raise FedmolError(Exit.UPDATE_REFUSED, "no", "none")

    with pytest.raises(FedmolError) as caught:
        Retries("here", 1e9, Waits()).persist(call)
    assert (caught.value.exit, calls) == (Exit.UPDATE_REFUSED, ["call"])


def test_a_site_that_is_to_stop_makes_no_call() -> None:
    calls: list[str] = []
    stop = threading.Event()
    stop.set()
    with pytest.raises(FedmolError) as caught:
        Retries("here", 1e9, stop).persist(_failing(0, calls))
    assert (caught.value.exit, calls) == (Exit.TERMINATED, [])


def test_a_site_that_is_asked_to_stop_while_calls_fail_makes_no_further_one() -> None:
    stop, calls = threading.Event(), 0

    def call() -> None:
        nonlocal calls
        calls += 1
        stop.set()
        raise Away

    with pytest.raises(FedmolError) as caught:
        Retries("here", 1e9, stop).persist(call)
    assert (caught.value.exit, calls) == (Exit.TERMINATED, 1)


def test_what_failed_last_is_said_in_plain_characters() -> None:
    assert describe(Away()) == "UNAVAILABLE: connection\ufffd[31m reset"
    assert describe(ConnectionError("nobody answers")) == "nobody answers"
    now = [0.0]

    def call() -> None:
        now[0] += 4.0
        raise Away

    with pytest.raises(FedmolError) as caught:
        Retries("fl.example.org:443", 3.0, threading.Event(), clock=lambda: now[0]).persist(call)
    assert caught.value.message == (
        "the aggregator at fl.example.org:443 was not reached for 3 s: UNAVAILABLE: connection\ufffd[31m reset"
    )
