"""What a site says of its molecules has to be possible; what others say of theirs cannot be overlooked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.smiles_to_graphs import encode
from fedmol.diffusion.census import Census
from fedmol.errors import Exit, FedmolError
from fedmol.fl.count_checks import check_adds_up, check_counts, check_room, counts_of, lacking
from fedmol.fl.messages import CensusCounts, Counts

VOCABULARY = vocabularies.get("qm9-charged")
SMILES = ["CCO", "CC", "C1CC1", "CC#N", "CCCO", "OCCO", "c1ccoc1", "CNC", "C"]
ALL = encode(SMILES, VOCABULARY).graphs


def census(rows: list[int]) -> CensusCounts:
    """Of some of the molecules, taken as a site takes it."""
    graphs = ALL[torch.tensor(rows, dtype=torch.int64)]
    taken = Census.take(graphs, len(VOCABULARY.atoms), len(VOCABULARY.bonds), VOCABULARY.max_atoms)
    return CensusCounts.model_validate(taken.to_json(), strict=False)


def raised(counts: CensusCounts, least: int) -> CensusCounts:
    """As it is sent with the setting `data.least_count`."""
    sizes = (counts.sizes[0], *(max(count, least) for count in counts.sizes[1:]))
    atoms, bonds = (tuple(max(count, least) for count in one) for one in (counts.atoms, counts.bonds))
    return CensusCounts(atoms=atoms, bonds=bonds, sizes=sizes)


def changed(counts: CensusCounts, kind: str, place: int, by: int) -> CensusCounts:
    values = list(getattr(counts, kind))
    values[place] += by
    return CensusCounts(**{**dict(counts), kind: tuple(values)})


@given(st.lists(st.integers(0, len(SMILES) - 1), min_size=2, max_size=40), st.integers(0, 30))
def test_an_honest_census_adds_up_raised_or_not(rows: list[int], least: int) -> None:
    check_adds_up(raised(census(rows), least), len(rows), least)


@pytest.mark.parametrize("kind", ["atoms", "bonds", "sizes"])
@pytest.mark.parametrize("by", [1, -1, 10**15])
def test_any_count_that_is_changed_is_found(kind: str, by: int) -> None:
    honest = census(list(range(len(SMILES))))
    for place, count in enumerate(getattr(honest, kind)):
        if count + by < 0:
            continue
        with pytest.raises(FedmolError) as caught:
            check_adds_up(changed(honest, kind, place, by), len(SMILES))
        assert caught.value.exit is Exit.MESSAGE_REFUSED


@pytest.mark.parametrize(("molecules", "least"), [(10**9, 0), (8, 0), (10**9, 5), (80, 5)])
def test_another_number_of_molecules_is_found(molecules: int, least: int) -> None:
    with pytest.raises(FedmolError, match=rf"{molecules} molecules, which by the sizes are"):
        check_adds_up(raised(census(list(range(len(SMILES)))), least), molecules, least)


def test_raised_counts_are_bounds_and_not_a_licence() -> None:
    honest, least = census([0] * 50), 5
    check_adds_up(raised(honest, least), 50, least)
    with pytest.raises(FedmolError, match="pairs of atoms"):
        check_adds_up(changed(raised(honest, least), "bonds", 1, 10**6), 50, least)
    with pytest.raises(FedmolError, match=r"below data\.least_count"):
        check_adds_up(honest, 50, least)


def test_molecules_without_atoms_are_refused() -> None:
    with pytest.raises(FedmolError, match="without atoms"):
        check_adds_up(changed(census([0, 1]), "sizes", 0, 1), 3)


@pytest.mark.parametrize("kind", ["atoms", "bonds", "sizes"])
@pytest.mark.parametrize("longer", [True, False])
def test_a_histogram_of_another_length_is_refused_by_name(kind: str, longer: bool) -> None:
    honest = census([0, 1])
    values = getattr(honest, kind)
    other = CensusCounts(**{**dict(honest), kind: (*values, 0) if longer else values[:-1]})
    with pytest.raises(FedmolError, match=f"counts of {kind}, the vocabulary qm9-charged has") as caught:
        check_counts(Counts(molecules=2, census=other, shard="0" * 64), VOCABULARY)
    assert caught.value.exit is Exit.MESSAGE_REFUSED


def test_what_an_agreement_lacks_is_named_with_how_much_of_it_the_site_has() -> None:
    agreed, own = census([1, 2]), census([0, 3, 3])  # chains and rings of carbon; C-C-O, and C-C#N twice
    assert lacking(agreed, own) == {"atoms": {1: 2, 2: 1}, "bonds": {0: 6, 3: 4}}
    with pytest.raises(
        FedmolError, match="2 atoms N, 1 atom O, 3 pairs of atoms without a bond, 2 triple bonds"
    ) as caught:
        check_room(agreed, own, VOCABULARY)
    assert caught.value.exit is Exit.VOCABULARY_DIFFERS
    assert "leave the molecules with these out" in caught.value.cure
    check_room(own, census([0, 0]), VOCABULARY)


def test_a_size_that_an_agreement_lacks_is_named() -> None:
    with pytest.raises(FedmolError, match="2 molecules of 4 atoms"):
        check_room(census([0, 0]), census([0, 4, 4]), VOCABULARY)


def test_with_a_least_count_nothing_lacks() -> None:
    agreed: Any = raised(census([1, 1]), 3)
    assert lacking(agreed, census(list(range(len(SMILES))))) == {}


def test_what_a_site_says_is_what_an_aggregator_takes() -> None:
    honest = census([0, 1, 2])
    counts = counts_of(honest.model_dump(mode="json"), 3, 0.5, "0" * 64)
    assert (counts.census, counts.molecules, counts.seconds_per_step) == (honest, 3, 0.5)
    check_counts(counts, VOCABULARY)


@pytest.mark.parametrize(
    ("molecules", "seconds", "exit"),
    [(1, None, Exit.BAD_DATA), (0, None, Exit.BAD_DATA), (3, 3601.0, Exit.BAD_SETTINGS)],
)
def test_a_site_that_no_federation_would_take_hears_it_at_home(
    molecules: int, seconds: float | None, exit: Exit
) -> None:
    with pytest.raises(FedmolError) as caught:
        counts_of(census([0, 1, 2]).model_dump(mode="json"), molecules, seconds, "0" * 64)
    assert caught.value.exit is exit
