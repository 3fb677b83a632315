"""What the aggregator may ask of this site: known tasks, in the rounds that were agreed, each round from one model.

An aggregator that has a site train other steps, other rounds or from another model than agreed would learn more about
its molecules than the site agreed to tell. What a round was opened with is in the site's event log before anything is
trained, and so holds over restarts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from fedmol.errors import Exit, FedmolError
from fedmol.fl.messages import RoundOpening
from fedmol.fl.payload import Section
from fedmol.fl.tasks import TASKS
from fedmol.telemetry import queries
from fedmol.telemetry.events.round_events import RoundOpened
from fedmol.telemetry.log import EventLog

_MOST_TIMES = 8  # that a task is done in a round


class TaskChecks:
    """`rounds` says how many were agreed on, which signed changes make more."""

    def __init__(self, rounds: Callable[[], int], events: EventLog) -> None:
        self.rounds, self.events = rounds, events
        self._last = _last_opened(events)
        self._sent: Counter[tuple[int, str]] = Counter()

    def note_sent(self, round: int, task: str) -> None:
        """The aggregator has taken what the site did."""
        self._sent[round, task] += 1

    @property
    def sent(self) -> int:
        """How often the aggregator has taken something."""
        return self._sent.total()

    def again(self, round: int, names: Sequence[str]) -> bool:
        """Whether something is asked for that was sent, as when the aggregator's file of it was damaged."""
        return any(self._sent[round, name] for name in names)

    def check_tasks(self, round: int, names: Sequence[str]) -> None:
        """Raises FedmolError AGREEMENT_BROKEN unless these can be the tasks of `round`."""
        unknown = [name for name in names if name not in TASKS]
        if unknown:
            raise broken(f"the task {unknown[0][:40]!r}", f"the tasks {' and '.join(TASKS)}")
        if round < 1:
            raise broken(f"work in round {round}", f"{self.rounds()} rounds")
        if len(set(names)) < len(names):
            raise broken(f"{len(names)} tasks in round {round}", f"{' and '.join(TASKS)}, each once a round")
        often = [name for name in names if self._sent[round, name] >= _MOST_TIMES]
        if often:
            raise broken(f"the task {often[0]} of round {round} again and again", "each task once a round")

    def check_end(self, round: int) -> None:
        """Raises FedmolError AGREEMENT_BROKEN unless a run that is at `round` can be over."""
        if round != self.rounds() + 1:
            raise broken(f"the end of the run in round {round}", f"{self.rounds()} rounds")

    def check_begun(self, round: int) -> None:
        """Raises FedmolError AGREEMENT_BROKEN when there is nothing to do in `round`: it is the one after the last."""
        if round > self.rounds():
            raise broken(f"work in round {round}", f"{self.rounds()} rounds")

    def open(self, opening: RoundOpening) -> None:
        """Take note of a round before anything is done in it; `opening` is written down by the caller.

        Raises:
            FedmolError: AGREEMENT_BROKEN when the round is over for this site, or began with another model.
        """
        if not 1 <= opening.round <= self.rounds() + 1:
            raise broken(f"work in round {opening.round}", f"{self.rounds()} rounds")
        if self._last is not None:
            round, digests = self._last
            if opening.round < round:
                raise broken(f"work in round {opening.round} after round {round}", "one round after the other")
            if opening.round == round and opening.digests != digests:
                raise broken(
                    f"round {round} again from the model {_short(opening.digests)}",
                    f"the model {_short(digests)}, with which the round was opened before",
                )
        self._last = opening.round, opening.digests


def check_values(section: Section, content: bytes, digest: str, opening: RoundOpening) -> None:
    """Raises FedmolError AGREEMENT_BROKEN unless a section came as it was agreed and said: `digest` is what came."""
    what, said = f"{section.name} of round {opening.round}", opening.digests.get(section.name, "none")
    if len(content) != section.nbytes:
        raise broken(f"a {what} of {len(content):,} bytes", f"{section.nbytes:,} bytes")
    if digest != said:
        raise broken(f"a {what} with digest {digest[:12]}", f"the one that the round was opened with, {said[:12]}")
    values = np.frombuffer(content, section.wire_type)
    if not (np.isfinite(values.min()) and np.isfinite(values.max())):  # a NaN is both
        raise broken(f"a {what} that has values which are not finite", "finite numbers")


def broken(asked: str, agreed: str) -> FedmolError:
    """The error for what is not done."""
    return FedmolError(
        Exit.AGREEMENT_BROKEN,
        f"the aggregator asks for {asked}; agreed were {agreed}",
        "ask the coordinator what this means: nothing was trained for it, and nothing was sent",
    )


def _last_opened(events: EventLog) -> tuple[int, dict[str, str]] | None:
    """The latest round of this run that was opened for this site, with the digests of its sections."""
    opened = queries.logged(events.path, RoundOpened, events.run)
    rounds = [(event.round, dict(event.body.digests)) for event in opened if event.round is not None]
    return max(rounds, key=lambda pair: pair[0], default=None)


def _short(digests: dict[str, str]) -> str:
    return ", ".join(f"{name} {digest[:12]}" for name, digest in sorted(digests.items()))
