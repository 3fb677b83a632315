"""The learning rate of a run that is made longer while it goes on."""

from __future__ import annotations

import itertools

import pytest

from fedmol.training import TrainingConfig, learning_rate
from fedmol.training.learning_rate import position

CONFIG = TrainingConfig(learning_rate=1.0, warmup_share=0.1)


def rates(total: int, extensions: list[tuple[int, int]]) -> list[float]:
    last = extensions[-1][1] if extensions else total
    return [learning_rate(position(step, total, extensions), total, CONFIG) for step in range(last + 1)]


def test_without_extensions_steps_are_positions_exactly() -> None:
    assert [position(step, 1000) for step in range(1001)] == list(range(1001))
    assert all(isinstance(position(step, 10), int) for step in range(10))


def test_what_comes_before_an_extension_stays_as_it_was() -> None:
    assert rates(100, [(60, 140)])[:61] == rates(100, [])[:61]


@pytest.mark.parametrize("extensions", [[(60, 140)], [(5, 140)], [(40, 120), (80, 240), (81, 241)]])
def test_a_longer_run_has_no_jump_and_ends_where_the_shorter_would_have(extensions: list[tuple[int, int]]) -> None:
    plain, longer = rates(100, []), rates(100, extensions)
    steepest = max(abs(later - sooner) for sooner, later in itertools.pairwise(plain))
    assert max(abs(later - sooner) for sooner, later in itertools.pairwise(longer)) <= steepest + 1e-12
    assert longer[-1] == pytest.approx(0, abs=1e-12)
    peak = longer.index(max(longer))
    assert all(later <= sooner + 1e-12 for sooner, later in itertools.pairwise(longer[peak:]))


def test_the_rest_of_the_curve_is_stretched_evenly() -> None:
    assert [position(step, 8, [(4, 12)]) for step in (4, 6, 8, 10, 12)] == [4, 5, 6, 7, 8]
    assert position(10, 8, [(4, 12), (8, 16)]) == pytest.approx(6 + 2 * 2 / 8)
