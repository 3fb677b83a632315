"""Which of a site's states holds: that of the last round in which its update counted.

What a local method keeps after a round is provisional until the next round's opening says what became of the update.
A site knows of two states at any time, the one that its last round started from and the one that this round ended with;
rounds that did not count in between left the former as it was. Where the members of the federation have changed since,
no state holds any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fedmol.errors import Exit, FedmolError
from fedmol.fl.local_methods.base import Vectors


@dataclass(frozen=True)
class Kept:
    """What a local method keeps at its site; nothing before the first round that counts."""

    vectors: Vectors = field(default_factory=dict)
    round: int | None = None  # whose update it went with


def holding(last_counted: int | None, members_since: int, states: Iterable[Kept]) -> Kept:
    """The one of a site's states that a round starts from, by what the round's opening says.

    Raises:
        FedmolError: STATE_UNUSABLE when the site does not have the state that it has by what the aggregator says.
    """
    if last_counted is None or last_counted < members_since:
        return Kept()
    for state in states:
        if state.round == last_counted:
            return state
    raise FedmolError(
        Exit.STATE_UNUSABLE,
        f"the site's update of round {last_counted} counted, and its folder does not hold what it kept of that round",
        "restore the site's working folder from a backup; without one, have the coordinator remove and add the site",
    )
