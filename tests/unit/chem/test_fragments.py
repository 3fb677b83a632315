from __future__ import annotations

import pytest
import torch

from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.fragments import read_fragment
from fedmol.chem.listing import entries
from fedmol.diffusion.inpainting import FREE
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs

CHARGED, NEUTRAL = vocabularies.get("qm9-charged"), vocabularies.get("qm9")


@pytest.mark.parametrize("smiles", ["c1ccncc1", "CC(=O)N", "C#CO", "c1cc[nH]c1", "C[N+](C)(C)C"])
def test_a_fragment_is_its_molecule_in_codes(smiles: str) -> None:
    found = read_fragment(smiles, CHARGED)
    graph = Graphs(found.atoms[None].to(torch.int8), found.bonds[None].to(torch.int8), torch.tensor([len(found)]))
    assert entries(graph, CHARGED)[0].smiles == smiles.replace("CC(=O)N", "CC(N)=O")
    assert not found.closed.any()


def test_open_positions_are_new_atoms_of_any_type_and_all_else_is_closed() -> None:
    found = read_fragment("*C(=O)N[*]", CHARGED)
    assert found.atoms.tolist() == [FREE, 0, 2, 1, FREE]
    assert found.closed.tolist() == [False, True, True, True, False]
    assert found.bonds[0].tolist() == [0, 1, 0, 0, FREE]  # the two new atoms may be bonded with one another
    assert (found.bonds == found.bonds.T).all()


def test_isotopes_and_hydrogens_are_read_as_everywhere_else() -> None:
    assert read_fragment("[2H]C([2H])([2H])[13CH2:1][OH]", CHARGED).atoms.tolist() == [0, 0, 2]


def test_charges_are_dropped_where_the_vocabulary_has_none() -> None:
    assert read_fragment("C[NH3+]", NEUTRAL).atoms.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("c1cc", "not a SMILES"),
        ("", "it is empty"),
        ("*", "no heavy atom"),
        ("CS", "has no S"),
        ("C[OH2+]", "no O+"),
        ("C$C", "bonds"),
    ],
)
def test_what_does_not_fit_is_said(text: str, reason: str) -> None:
    with pytest.raises(FedmolError) as caught:
        read_fragment(text, CHARGED)
    assert caught.value.exit is Exit.USAGE
    assert reason in caught.value.message
