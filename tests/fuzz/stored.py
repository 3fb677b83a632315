"""Damaged files: a restart goes on with the same model, or names a file; it never takes another model for its own."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from fedmol.errors import Exit, FedmolError
from fedmol.fl.strategies import FedAvg
from tests.fuzz.mutations import damaged
from tests.fuzz.target import ROUNDS, SITES, MemoryBound
from tests.support.in_memory import Federation

_TRIALS = 60


def fuzz(work: Path, chance: random.Random, expected: bytes) -> int:
    """Damage copies of the folder of a run at one of its moments; the number of restarts that were tried."""
    original, memory = Federation(work / "original", SITES, FedAvg()), MemoryBound()
    original.play(chance.randint(1, ROUNDS - 1))
    for site in list(SITES)[: chance.randint(0, 2)]:
        original.report(site, original.engine.round)
    for trial in range(_TRIALS):
        folder = work / str(trial)
        shutil.copytree(original.work, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        chosen = chance.sample(files, chance.choice((1, 1, 1, 2, 4)))
        for path in chosen:
            _damage(path, files, chance)
        said = _restart(folder, expected)
        assert said is None or any(str(path) in said for path in (*files, folder)), said
        shutil.rmtree(folder)
        memory.check()
    return _TRIALS


def _damage(path: Path, files: list[Path], chance: random.Random) -> None:
    kind = chance.random()
    if kind < 0.1:
        path.unlink(missing_ok=True)
    elif kind < 0.2:
        other = chance.choice(files)
        if other.exists():
            path.write_bytes(other.read_bytes())
    elif path.exists():
        path.write_bytes(damaged(path.read_bytes(), chance))


def _restart(folder: Path, expected: bytes) -> str | None:
    """None when the run ended with the expected model, what the refusal says when there was one."""
    try:
        one = Federation(folder, SITES, FedAvg())
        while not one.engine.finished:
            round = one.engine.round
            for site in SITES:
                one.report(site, round)
            one.engine.tick()  # not closed where an upload turns out to be damaged, which is then sent again
    except FedmolError as refusal:
        if refusal.exit is not Exit.STATE_UNUSABLE:
            raise
        return refusal.message
    assert one.model.tobytes() == expected
    return None
