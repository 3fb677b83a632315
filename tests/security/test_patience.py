"""A call that may pass is made again; a refusal for good ends the site at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
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
