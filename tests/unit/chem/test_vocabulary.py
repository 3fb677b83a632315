from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmol.chem import vocabulary
from fedmol.chem.graphs_to_molecules import read_graphs
from fedmol.chem.normal_form import read
from fedmol.chem.smiles_to_graphs import encode
from fedmol.errors import Exit, FedmolError


def test_reference_vocabulary_has_the_classes_of_digress() -> None:
    qm9 = vocabulary.get("qm9")
    assert qm9.atom_labels == ["C", "N", "O", "F"]
    assert qm9.bonds == ("none", "single", "double", "triple", "aromatic")
    assert qm9.max_atoms == 9


def test_digest_changes_with_every_part() -> None:
    base = vocabulary.get("qm9-charged")
    others = [
        dataclasses.replace(base, max_atoms=10),
        dataclasses.replace(base, atoms=base.atoms[:-1]),
        dataclasses.replace(base, atoms=base.atoms[::-1]),
        dataclasses.replace(base, bonds=(*base.bonds, "aromatic")),
        *(one for name, one in vocabulary.VOCABULARIES.items() if name != base.name),
    ]
    assert len({one.digest() for one in (base, *others)}) == len(others) + 1
    assert dataclasses.replace(base).digest() == base.digest()


def test_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(FedmolError, match="no vocabulary 'zinc'") as caught:
        vocabulary.get("zinc")
    assert caught.value.exit is Exit.BAD_SETTINGS
    assert "qm9-charged" in caught.value.cure


@given(st.sampled_from(["C", "N", "Cl", "As", "Pt", "No"]), st.integers(-4, 4))
def test_labels_and_types_are_each_other(symbol: str, charge: int) -> None:
    kind = vocabulary.AtomType(symbol, charge)
    assert vocabulary.AtomType.of(kind.label) == kind


@pytest.mark.parametrize(
    "label", ["", "c", "X", "Cc", "H", "D", "*", "N++", "N+1", "N-5", "+", "13C", "[N+]", "N +", "N" * 99]
)
def test_what_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="is not an atom type"):
        vocabulary.AtomType.of(label)


@pytest.mark.parametrize(
    ("atoms", "max_atoms", "message"),
    [
        (["C", "N", "C"], 9, "C is there twice"),
        ([], 9, "0 atom types"),
        (["C"], 1, "max_atoms is 1"),
        (["C"], 501, "max_atoms is 501"),
        ([f"{symbol}{charge}" for symbol in ("C", "N", "O", "S", "P", "B", "F", "I", "Br", "Cl", "Si", "Se", "As")
          for charge in ("", "+", "-", "+2", "-2", "+3", "-3", "+4", "-4")], 9, "117 atom types"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_vocabulary_is_refused(atoms: list[str], max_atoms: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vocabulary.Vocabulary.of("ours", atoms, max_atoms)


def test_a_vocabulary_of_ones_own_codes_what_it_holds() -> None:
    ours = vocabulary.Vocabulary.of("ours", ["C", "O", "As", "O-", "N+"], 12)
    encoded = encode(["C[As](C)C", "C[N+](C)(C)CC(=O)[O-]", "CN", "C" * 13], ours)
    assert encoded.smiles == ["C[As](C)C", "C[N+](C)(C)CC(=O)[O-]"]
    assert sorted(encoded.rejected) == [
        "charge not in the vocabulary ours: N",
        "too large for the vocabulary ours (more than 12 heavy atoms)",
    ]
    assert [one.smiles for one in read_graphs(encoded.graphs, ours)] == encoded.smiles


@pytest.mark.parametrize(
    "smiles",
    [
        "CP(C)C", "CCOP(=O)(OCC)OCC", "C[P+](C)(C)C", "OB(O)c1ccccc1", "C[N+](C)(C)CCC[B-](F)(F)F", "Ic1ccccc1",
        "C[Si](C)(C)C", "C[Se]C", "c1cc[se]c1", "C[S+](C)CC(=O)[O-]", "c1cc[o+]cc1", "[C-]#[N+]CC", "CN=[N+]=[N-]",
    ],
)  # fmt: skip
def test_drug_holds_what_drug_like_sets_hold(smiles: str) -> None:
    drug = vocabulary.get("drug")
    encoded = encode([smiles], drug)
    assert not encoded.rejected
    assert [one.smiles for one in read_graphs(encoded.graphs, drug)] == encoded.smiles == [read(smiles).smiles]
