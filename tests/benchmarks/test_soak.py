"""The soak's page says what its data says, and a plan meets every part of a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from benchmarks.soak import page
from benchmarks.soak.disturbances import FAREWELL, JOINING, LAST_ROUND, Kind, draw, moment
from benchmarks.soak.play import Happened, Played


def test_runs_that_failed_are_named(tmp_path: Path) -> None:
    right = Played(1, 2, 3, [Happened(Kind.KILL, JOINING, "north", 0.0)], {"north": [-9, 0]}, [], 20.0)
    wrong = Played(2, 2, 3, [Happened(Kind.FULL, "round 2", "north", 2.0)], {"north": [39, 1]}, ["it hangs"], 30.0)
    page.publish(page.document([right, wrong], "c" * 40), tmp_path)
    said = (tmp_path / page.PAGE).read_text()
    assert said == page.render(page.load(tmp_path))
    assert "1 of 2 passed" in said
    assert "with 2 disturbances and 3 restarts" in said
    assert "Seed 2 failed: it hangs" in said
    assert "| full disk | 0 | 1 | 0 | 0 |" in said


def test_every_seed_meets_joining_the_last_round_and_the_farewell_and_all_seeds_meet_every_kind() -> None:
    kinds = Counter[Kind]()
    for seed in range(50):
        plan = draw(Random(seed), rounds=3)
        assert 4 <= len(plan) <= 6
        assert {moment(one.step, 3) for one in plan} >= {JOINING, LAST_ROUND, FAREWELL}
        assert plan == draw(Random(seed), rounds=3)
        kinds.update(one.kind for one in plan)
    assert set(kinds) == set(Kind)
