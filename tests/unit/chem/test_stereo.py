from __future__ import annotations

import pytest
from rdkit import Chem

from fedmol.chem.stereo import MOST, stereoisomers


@pytest.mark.parametrize(
    ("smiles", "isomers"),
    [
        ("CCO", 1),
        ("OC(F)Cl", 2),
        ("CC(O)C(C)O", 3),  # a pair, and a meso form
        ("OCC(O)C(O)C(O)CO", 4),  # pentitols: the middle carbon is a centre only in the two meso forms
        ("OC1C(O)C(O)C(O)C(O)C1O", 9),  # inositols
        ("CC1CC1C", 3),
        ("CC1CC(C)C1", 2),
        ("CC1CCC(C)CC1", 2),
        ("C1=CCCCC1", 1),  # no E in small rings
        ("C1=CCCCCCC1", 2),
        ("CC=CC", 2),
        ("CC=C(C)C", 1),
        ("CC=CC=CC=CC", 6),
        ("FC=CC(F)C=CF", 4),  # the carbon is a centre only between E and Z
        ("CC=NO", 2),
        ("CCS(C)=O", 2),
        ("CC(F)" + "C(F)" * 9 + "C", 528),  # of 2^10 ways 32 read the same from both ends
    ],
)
def test_isomers_are_counted_as_in_textbooks(smiles: str, isomers: int) -> None:
    found = stereoisomers(smiles, MOST)
    assert found.total == len(found.smiles) == isomers
    molecules = [Chem.MolFromSmiles(one) for one in found.smiles]
    assert {Chem.MolToSmiles(mol) for mol in molecules} == set(found.smiles)
    assert {Chem.MolToSmiles(mol, isomericSmiles=False) for mol in molecules} == {
        Chem.MolToSmiles(Chem.MolFromSmiles(smiles))
    }


def test_double_bonds_are_set_both_ways() -> None:
    assert set(stereoisomers("CC=CC", 2).smiles) == {"C/C=C/C", "C/C=C\\C"}


def test_a_cut_takes_the_first_and_counts_all() -> None:
    everything = stereoisomers("CC(O)C(O)C(O)C=O", MOST)
    assert everything.total == 8
    for most in (1, 5, 8):
        cut = stereoisomers("CC(O)C(O)C(O)C=O", most)
        assert (cut.smiles, cut.total) == (everything.smiles[:most], 8)


@pytest.mark.parametrize("smiles", ["CC" + "(F)C" * 40 + "Cl", "C" + "C=C" * 30 + "C", "C" + "C(F)" * 11 + "C"])
def test_dozens_of_centres_are_bounded_and_the_same_every_time(smiles: str) -> None:
    found = stereoisomers(smiles, 20)
    assert found == stereoisomers(smiles, 20)
    assert found.total is None
    assert len(set(found.smiles)) == 20
    assert 20 < len(stereoisomers(smiles, MOST).smiles) <= MOST
