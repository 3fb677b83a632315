"""What may pass is tried again for a while, at times that differ from site to site; what will not pass is not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import grpc
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, wait_random_exponential

from fedmol.errors import Exit, FedmolError
from fedmol.shown import plain

log = logging.getLogger("fedmol.site")
T = TypeVar("T")

_FIRST_WAIT, _LONGEST_WAIT, _SHORTEST_WAIT = 0.25, 5.0, 0.05  # seconds; drawn from 0 to twice the longest so far
FAILURES = grpc.RpcError, ConnectionError


class Retries:
    """Repeats calls to the aggregator until they work, or `give_up_after` seconds have passed since the first failure.

    `clock` counts the seconds in which the process was awake.
    """

    def __init__(
        self, uri: str, give_up_after: float, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.uri, self.give_up_after, self.stop, self.clock = uri, give_up_after, stop, clock

    def persist(self, call: Callable[[], T], between: Callable[[], None] = lambda: None) -> T:
        """What `call` gives; `between` is done before each further attempt.

        Raises:
            FedmolError: AGGREGATOR_UNREACHABLE, TERMINATED; and whatever else `call` and `between` raise.
        """
        began = self.clock()

        def overdue(_: RetryCallState) -> bool:
            return self.stop.is_set() or self.clock() - began > self.give_up_after

        def tell(state: RetryCallState) -> None:
            assert state.outcome is not None
            assert state.next_action is not None
            what = describe(state.outcome.exception())
            log.warning("aggregator at %s: %s; trying again in %.1f s", self.uri, what, state.next_action.sleep)

        attempts = Retrying(
            retry=retry_if_exception_type(FAILURES),
            wait=wait_random_exponential(_FIRST_WAIT, _LONGEST_WAIT, min=_SHORTEST_WAIT),
            stop=overdue,
            sleep=sleep_using_event(self.stop),
            before_sleep=tell,
            reraise=True,
        )
        try:
            for attempt in attempts:
                with attempt:
                    self.require_going_on()
                    if attempt.retry_state.attempt_number > 1:
                        between()
                    return call()
        except FAILURES as error:
            self.require_going_on()
            raise self._unreachable(error) from None
        raise AssertionError("tenacity gives up by raising")

    def require_going_on(self) -> None:
        """Raises FedmolError TERMINATED when the site was asked to stop."""
        if self.stop.is_set():
            raise stopped()

    def _unreachable(self, error: BaseException) -> FedmolError:
        return FedmolError(
            Exit.AGGREGATOR_UNREACHABLE,
            f"the aggregator at {self.uri} was not reached for {self.give_up_after:.0f} s: {describe(error)}",
            "check the address, the port and the firewall, and whether the aggregator runs",
        )


def stopped() -> FedmolError:
    return FedmolError(
        Exit.TERMINATED, "the site was asked to stop", "start it again with the same arguments: it continues"
    )


def describe(error: BaseException | None) -> str:
    """What failed, in a line."""
    return f"{error.code().name}: {plain(error.details() or '')}" if isinstance(error, grpc.RpcError) else str(error)
