"""Runs that have to end with the same model are compared, and the page has what was measured."""

from __future__ import annotations

import pytest

from benchmarks.digests import RUNS, WAYS, equal, render
from fedmol.errors import FedmolError


def test_runs_that_end_with_different_models_are_named() -> None:
    assert equal("small", {"undisturbed": "a", "killed": "a"}) == "a"
    with pytest.raises(FedmolError, match=r"'small'.*undisturbed: a; killed: b"):
        equal("small", {"undisturbed": "a", "killed": "b"})


def test_the_page_says_which_runs_were_played() -> None:
    assert {way for runs in RUNS.values() for way in runs.ways} == set(WAYS)
    told = {"machine": "a machine", "commit": "c" * 40}
    figures = {
        name: {"value": f"digest of {name}", "about": runs.about, "ways": list(runs.ways), **told}
        for name, runs in RUNS.items()
    }
    page = render(figures)
    assert "a machine, at ccccccc." in page
    for name, runs in RUNS.items():
        assert f"| {runs.about} | {'; '.join(WAYS[way] for way in runs.ways)} | `digest of {name}` |" in page
