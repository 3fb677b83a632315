from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmol.chem.scaffolds import scaffolds
from fedmol.data.embedded import embedded
from fedmol.data.splits import Indices, holdout, names, sizes_of, split
from fedmol.errors import Exit, FedmolError
from fedmol.settings import Dirichlet, Iid, ScaffoldSplit, Split, Uneven

SMILES = embedded()[:600]
SITES = 4


def equal(left: list[Indices], right: list[Indices]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


kinds: st.SearchStrategy[Split] = st.one_of(
    st.just(Iid()),
    st.lists(st.floats(0.1, 10), min_size=SITES, max_size=SITES).map(lambda s: Uneven(kind="uneven", sizes=tuple(s))),
    st.just(ScaffoldSplit(kind="scaffold")),
    st.floats(0.5, 100).map(lambda alpha: Dirichlet(kind="dirichlet", alpha=alpha)),
)


@settings(max_examples=25, deadline=None)
@given(how=kinds, seed=st.integers(0, 1000))
def test_every_row_goes_to_one_site_and_equal_seeds_give_equal_sites(how: Split, seed: int) -> None:
    parts = split(SMILES, how, SITES, seed)
    assert all(len(part) for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(SMILES)))
    assert all((np.diff(part) > 0).all() for part in parts)
    assert equal(parts, split(SMILES, how, SITES, seed))
    assert not equal(parts, split(SMILES, how, SITES, seed + 1))


@given(total=st.integers(0, 5000), weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8))
def test_sizes_follow_the_weights(total: int, weights: list[float]) -> None:
    sizes = sizes_of(total, weights)
    assert sum(sizes) == total
    assert all(abs(size - total * w / sum(weights)) < 1 + 1e-6 for size, w in zip(sizes, weights, strict=True))


def test_uneven_sizes_are_exact() -> None:
    parts = split(SMILES, Uneven(kind="uneven", sizes=(4, 2, 1, 1)), SITES, 0)
    assert [len(part) for part in parts] == [300, 150, 75, 75]


def test_scaffold_split_keeps_series_together_and_sizes_near() -> None:
    parts = split(SMILES, ScaffoldSplit(kind="scaffold", sizes=(2, 1, 1, 1)), SITES, 0)
    names = scaffolds(SMILES)
    series = [{names[row] for row in part} for part in parts]
    assert all(not a & b for i, a in enumerate(series) for b in series[i + 1 :])
    assert [abs(len(part) - wanted) < 20 for part, wanted in zip(parts, (240, 120, 120, 120), strict=True)] == [
        True
    ] * 4


def test_small_alpha_makes_sites_more_different() -> None:
    names = np.array([name or "" for name in scaffolds(SMILES)])

    def difference(alpha: float) -> float:
        """Mean share of a scaffold's molecules that sit at the site that has most of them."""
        parts = split(SMILES, Dirichlet(kind="dirichlet", alpha=alpha), SITES, 1)
        counts = np.array([[np.sum(names[part] == name) for part in parts] for name in sorted(set(names))])
        return float((counts.max(1).sum()) / counts.sum())

    assert difference(0.05) > difference(1.0) > difference(100.0)


def test_vanishing_alpha_sends_whole_series_to_one_site() -> None:
    parts = split(SMILES, Dirichlet(kind="dirichlet", alpha=1e-300), 2, 0)
    names = scaffolds(SMILES)
    assert not {names[row] for row in parts[0]} & {names[row] for row in parts[1]}


def test_infinite_alpha_is_an_even_split() -> None:
    parts = split(SMILES, Dirichlet(kind="dirichlet", alpha=float("inf")), 2, 0)
    assert 250 < len(parts[0]) < 350


def test_rows_that_cannot_be_read_are_dealt_out_too() -> None:
    smiles = ["x", "y", "", "z", "CC", "C1CC1"]
    parts = split(smiles, ScaffoldSplit(kind="scaffold"), 3, 0)
    assert [len(part) for part in parts] == [2, 2, 2]


@pytest.mark.parametrize(
    ("smiles", "how", "code", "message"),
    [
        (["C", "N"], Iid(), Exit.BAD_DATA, "2 of 4 sites without any"),
        ([], Dirichlet(kind="dirichlet", alpha=1.0), Exit.BAD_DATA, "4 of 4 sites without any"),
        (["C"] * 50, ScaffoldSplit(kind="scaffold"), Exit.BAD_DATA, "3 of 4 sites without any"),
        (["C"] * 50, Uneven(kind="uneven", sizes=(1e9, 1, 1, 1)), Exit.BAD_DATA, "3 of 4 sites"),
        (["C"] * 50, Uneven(kind="uneven", sizes=(1, 1)), Exit.BAD_SETTINGS, "2 sizes for 4 sites"),
        (["C"] * 50, Uneven(kind="uneven", sizes=(1e308,) * 4), Exit.BAD_SETTINGS, "too large"),
    ],
)
def test_split_that_cannot_be_made_is_refused(smiles: list[str], how: Split, code: Exit, message: str) -> None:
    with pytest.raises(FedmolError, match=message) as caught:
        split(smiles, how, SITES, 0)
    assert caught.value.exit is code


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 100))
def test_holdout_never_shares_a_molecule(share: float, seed: int) -> None:
    smiles = [*SMILES[:100], *SMILES[:30]]
    kept, out = holdout(names(smiles), share, seed)
    assert sorted([*kept.tolist(), *out.tolist()]) == list(range(len(smiles)))
    held = {smiles[row] for row in out}
    assert not held & {smiles[row] for row in kept}
    assert len(held) == min(max(round(share * 100), 1), 99)


def test_holdout_knows_a_molecule_however_it_is_written() -> None:
    smiles = [*SMILES[:40], "CCO", "C(O)C", "OCC", "[13CH3]CO", "F/C=C/F", "FC=CF", "x", "y"]
    for seed in range(20):
        out = set(holdout(names(smiles), 0.3, seed)[1].tolist())
        assert len(out & {40, 41, 42, 43}) in (0, 4)
        assert len(out & {44, 45}) in (0, 2)


def test_holdout_needs_two_molecules() -> None:
    with pytest.raises(FedmolError, match="1 different molecules"):
        holdout(names(["C", "C"]), 0.5, 0)
