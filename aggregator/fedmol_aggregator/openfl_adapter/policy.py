"""OpenFL's straggler policy, decided by the round rule.

OpenFL's own policies start timers of their own, in a thread and under a lock of their own; this one has none: the
server's loop asks again every quarter of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openfl.component.aggregator.straggler_handling import StragglerPolicy


class QuorumPolicy(StragglerPolicy):  # type: ignore[misc]
    def __init__(self, may_close: Callable[[], bool]) -> None:
        self.may_close = may_close

    def start_policy(self, **_: Any) -> None:
        pass

    def reset_policy_for_round(self) -> None:
        pass

    def straggler_cutoff_check(self, num_collaborators_done: int, num_all_collaborators: int, **_: Any) -> bool:
        return num_collaborators_done == num_all_collaborators or self.may_close()
