"""What may pass is tried again, at times that no two sites have in common; what will not pass is not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol_collaborator.retries import Retries
from tests.support.scripted import SITE, Honest, Refusal, ScriptedAggregator, one_site
from tests.support.stage import Stage

Build = Callable[[Settings], Stage]


class Busy:
    """Refuses the first calls."""

    def __init__(self, code: grpc.StatusCode, times: int) -> None:
        self.code, self.left = code, times

    def __call__(self, honest: Honest) -> Any:
        self.left -= 1
        if self.left >= 0:
            raise Refusal(self.code, "not now")
        return honest()


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_an_aggregator_that_is_busy_is_asked_again(stage: Build, code: grpc.StatusCode) -> None:
    run = stage(one_site())
    busy = {call: Busy(code, 2) for call in ("Join", "GetTasks", "GetAggregatedTensor", "SendLocalTaskResults")}
    with ScriptedAggregator(run, busy) as one:
        run.start(SITE)
        assert run.wait(SITE) == 0, run.log(SITE)
        assert one.round == 4


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED],
)
def test_a_refusal_for_good_is_met_once(stage: Build, code: grpc.StatusCode) -> None:
    run = stage(one_site())
    with ScriptedAggregator(run, {"Join": Busy(code, 10**6)}) as one:
        run.start(SITE)
        assert run.wait(SITE) == Exit.MODEL_DIFFERS, run.log(SITE)
        assert len(one.calls("Join")) == 1


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
