"""Results do not change unless SEMANTICS says so, by which sites that compute otherwise are kept apart."""

from __future__ import annotations

import pytest

from fedmol.diffusion import loss as original
from fedmol.fl.versions import SEMANTICS
from fedmol.training.muon import Muon
from tests.golden.semantics import compute, differences, recorded


def test_results_are_those_that_were_recorded_for_these_semantics() -> None:
    expected = recorded()
    wrong = differences(expected, compute())
    assert not wrong, (
        "what a model and a seed compute has changed. If that is meant, raise SEMANTICS in federation/versions.py and "
        "run `python -m tests.golden.record semantics`:\n" + "\n".join(wrong)
    )
    assert expected["semantics"] == SEMANTICS, "run `python -m tests.golden.record semantics`"


def test_a_number_that_moves_by_more_than_rounding_is_named() -> None:
    expected = recorded()
    found = {name: float(value) for name, value in expected.items() if name != "semantics"}
    for name, value in found.items():
        moved = {**found, name: value * 1.001}
        assert [one.split(" is ")[0] for one in differences(expected, moved)] == [name]


def test_another_loss_is_another_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedmol.training.loop.loss", lambda *said, **named: 1.001 * original(*said, **named))
    assert any(one.startswith("mean_loss") for one in differences(recorded(), compute()))


def test_another_momentum_is_another_number(monkeypatch: pytest.MonkeyPatch) -> None:
    init = Muon.__init__
    monkeypatch.setattr(Muon, "__init__", lambda *said, **named: init(*said, **{**named, "momentum": 0.94}))
    assert any(one.startswith("move.small.muon") for one in differences(recorded(), compute()))
