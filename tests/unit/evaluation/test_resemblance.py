from __future__ import annotations

import pytest

from fedmol.chem.smiles_to_graphs import canonical_smiles
from fedmol.data.embedded import embedded
from fedmol.evaluation import resemblance as module
from fedmol.evaluation.resemblance import ABOUT, Resemblance, resemblance

MOLECULES = [one for one in canonical_smiles(embedded()[:900]) if one is not None]
TEST, TRAINING = MOLECULES[:300], MOLECULES[300:]


def measured(generated: list[str], known: list[str] = TRAINING) -> Resemblance:
    found = resemblance(generated, TEST, known, lambda *_: None)
    assert found is not None
    return found


def values(found: Resemblance) -> dict[str, float]:
    return {one.name: one.value for one in found.figures if one.value is not None}


def test_the_test_molecules_themselves_are_as_like_as_can_be() -> None:
    found = values(measured(TEST))
    for name in ("KL score", "SNN", "Frag", "Scaf"):
        assert found[name] == pytest.approx(1)
    assert found["scaffold distance"] == 0


def test_real_molecules_show_what_is_expected_of_real_molecules() -> None:
    found = measured(TRAINING[:250], TRAINING[250:])
    for one in found.figures:
        assert one.by_chance is not None
        assert one.value == pytest.approx(one.by_chance, abs=0.08)


def test_molecules_of_another_kind_are_told_from_real_ones() -> None:
    chains = [f"{'C' * n}{end}" for n in range(3, 40) for end in ("O", "N", "F", "")]
    found = measured([one for one in canonical_smiles(chains) if one is not None])
    for one in found.figures:
        if one.name in ("KL score", "Frag", "scaffold distance"):
            assert one.value is not None
            assert one.by_chance is not None
            worse = one.by_chance - one.value if one.name != "scaffold distance" else one.value - one.by_chance
            assert worse > 0.1, one.name
    assert found.divergences["TPSA"] > 1


def test_a_repeated_molecule_lowers_diversity() -> None:
    assert (
        values(measured(TRAINING[:50] + [TRAINING[0]] * 200))["IntDiv"]
        < values(measured(TRAINING[:250]))["IntDiv"] - 0.2
    )


def test_nothing_is_drawn_from_too_few_training_molecules() -> None:
    assert {one.by_chance for one in measured(TRAINING[:20], TRAINING[:19]).figures} == {None}


def test_shares_of_test_molecules_and_new_scaffolds() -> None:
    found = measured([TEST[0], TRAINING[0], "C1CC2CC1CC2C1CC1"])
    assert (found.in_test.count, found.in_test.total) == (1, 3)
    assert found.new_scaffolds.count == 1
    assert found.new_scaffolds_of_test.total > 30
    assert measured(TRAINING[:5], []).new_scaffolds.total == 0


def test_fcd_is_measured_of_many_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "FCD" not in values(measured(TRAINING[:100]))
    monkeypatch.setattr(module, "FEWEST_FOR_FCD", 100)
    phases = set()
    found = resemblance(TRAINING[:100], TEST[:100], (), lambda phase, *_: phases.add(phase))
    assert found is not None
    assert {one.name for one in found.figures} == set(ABOUT)
    fcd = found.figures[-1]
    assert fcd.value is not None
    assert fcd.by_chance is not None
    assert 0 < fcd.value < 2 * fcd.by_chance
    assert phases == {"descriptors", "ChemNet"}


def test_one_molecule_is_no_distribution() -> None:
    assert resemblance(["CCO"], TEST, (), lambda *_: None) is None
    assert resemblance(TEST, [], (), lambda *_: None) is None
