"""The agreement as it follows from what sites say."""

from __future__ import annotations

from fedmol.diffusion.census import Census
from fedmol.fl.messages import CensusCounts, Counts
from fedmol.settings import TrainingSettings
from fedmol_aggregator.agreement import agree

LARGEST = 10**9  # molecules that a site may have


def test_the_sum_of_many_sites_with_as_many_molecules_as_may_be_is_exact() -> None:
    census = CensusCounts(atoms=(42 * LARGEST - 1, 1), bonds=(42 * 41 * LARGEST - 1, 1), sizes=(*[0] * 42, LARGEST))
    sites = {f"site-{number}": Counts(molecules=LARGEST, census=census, shard="0" * 64) for number in range(1000)}
    agreement = agree(TrainingSettings(), sites)
    assert agreement.census.bonds == (42 * 41 * LARGEST * 1000 - 1000, 1000)
    assert list(agreement.molecules) == sorted(sites)
    assert Census.from_json(agreement.census.model_dump()).bonds.tolist() == list(agreement.census.bonds)


def test_one_site_agrees_with_itself() -> None:
    census = CensusCounts(atoms=(6,), bonds=(0, 6), sizes=(0, 0, 3))
    agreement = agree(TrainingSettings(local_steps=7), {"only": Counts(molecules=3, census=census, shard="1" * 64)})
    assert (agreement.census, agreement.molecules, agreement.local_steps) == (census, {"only": 3}, 7)
