"""What disturbs a run: what, when, and for how long, drawn from a seed. Whom it meets is drawn when it happens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    KILL = "kill -9"
    STOP = "SIGTERM"
    PAUSE = "SIGSTOP"
    POWER = "power cut"
    DEAD = "dead line"
    RESET = "reset line"
    SILENT = "half-open line"
    SLOW = "slow line"
    FULL = "full disk"


LINES = {Kind.DEAD, Kind.RESET, Kind.SILENT, Kind.SLOW}  # these meet a site's line, the others a party or all
JOINING, LAST_ROUND, FAREWELL = "joining", "last round", "farewell"

_WEIGHTS = {Kind.KILL: 3, Kind.STOP: 2, Kind.PAUSE: 3, Kind.POWER: 1, Kind.FULL: 2, **dict.fromkeys(sorted(LINES), 1)}
_LASTS = {  # seconds
    Kind.PAUSE: (0.5, 9.0),
    Kind.DEAD: (1.0, 8.0),
    Kind.SILENT: (1.0, 8.0),
    Kind.SLOW: (3.0, 10.0),
    Kind.FULL: (1.0, 6.0),
}
_AFTER = 0.4  # seconds of the moment that pass at most before it is disturbed
_AFTER_THE_START = 10.0  # seconds, of which processes take some to come up


@dataclass(frozen=True)
class Disturbance:
    kind: Kind
    step: int  # 0: joining; from 1 on: that round; after the last round: the farewell
    after: float  # seconds since that began
    seconds: float  # that it lasts; 0 where it is over at once


def draw(chance: Random, rounds: int) -> list[Disturbance]:
    """Four to six disturbances: one while sites join, one in the last round, one in the farewell, others anywhere."""
    steps = [0, rounds, rounds + 1, *(chance.randint(0, rounds + 1) for _ in range(chance.randint(1, 3)))]
    return [_one(chance, step) for step in sorted(steps)]


def _one(chance: Random, step: int) -> Disturbance:
    (kind,) = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    after = chance.uniform(0, _AFTER_THE_START if step == 0 else _AFTER)
    return Disturbance(kind, step, after, chance.uniform(*_LASTS.get(kind, (0.0, 0.0))))


def moment(step: int, rounds: int) -> str:
    """The step in words."""
    if step == 0:
        return JOINING
    return FAREWELL if step > rounds else LAST_ROUND if step == rounds else f"round {step}"
