"""Damaged uploads: none ends the aggregator, none leaves anything behind, and the model is the honest sites' own."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.mutations import damaged, near_the_start
from tests.fuzz.target import ROUNDS, SITES, MemoryBound, Target, messages

_A_ROUND = 50  # uploads, after which it is closed by honest ones


def fuzz(work: Path, chance: random.Random, expected: bytes) -> int:
    """One run of the federation under fire; the number of uploads that were tried."""
    target, memory, tried = Target(work), MemoryBound(), 0
    one = target.federation
    while not one.engine.finished:
        honest, round = target.upload(), one.engine.round
        for _ in range(_A_ROUND):
            bad = (near_the_start if chance.random() < 0.7 else damaged)(honest, chance)
            if bad == honest:
                continue
            stream = list(messages([bad], chance.choice((2**21, 1000, 100_000, 7, len(bad) // 2 + 1))))
            if chance.random() < 0.2:
                stream = [damaged(message, chance) if chance.random() < 0.5 else message for message in stream]
            tried += 1
            if target.send(stream):  # other numbers, but an upload
                _forget(target, round)
        left = [path.name for path in one.work.glob(f"uploads/round-{round:04d}/*.json")]
        assert not left, left
        assert len(list((one.work / "uploads" / "scratch").iterdir())) < 2 * _A_ROUND
        for site in SITES:
            one.report(site, round)
        assert one.engine.tick()
        memory.check()
    assert one.engine.round == ROUNDS + 1
    assert one.model.tobytes() == expected
    return tried


def _forget(target: Target, round: int) -> None:
    """An accepted upload is taken back, so that the next one is looked at."""
    engine = target.federation.engine
    for record in engine.uploads.records(round)[0]:
        assert record.site == "c"
        update = engine.uploads.update(record, 1.0, 1.0)
        for section in engine.terms.payload.sections if record.digests else ():
            assert sum(len(block) for block in update.blocks(section)) == section.length
        engine.uploads.drop(record)
    engine._reports.clear()
