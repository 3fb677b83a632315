from __future__ import annotations

import pytest
import torch
from rdkit import Chem

from fedmol.chem import scaffold_query
from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.generated_molecules import molecules_of
from fedmol.chem.scaffold_query import MOST_FORMS, read_scaffold
from fedmol.chem.smiles_to_graphs import encode
from fedmol.diffusion.inpainting import FREE, Fragment
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs

CHARGED, NEUTRAL, DRUG = (vocabularies.get(name) for name in ("qm9-charged", "qm9", "drug"))


def graphs(fragment: Fragment) -> Graphs:
    """One graph for each Kekule form."""
    forms = len(fragment.bonds)
    atoms = fragment.atoms.expand(forms, -1)
    return Graphs(atoms.to(torch.int8), fragment.bonds.to(torch.int8), torch.full((forms,), len(fragment)))


@pytest.mark.parametrize(
    ("smiles", "forms"),
    [
        ("c1ccncc1", 2),
        ("CC(N)=O", 1),
        ("C#CO", 1),
        ("c1cc[nH]c1", 1),
        ("O=c1cc[nH]cc1", 1),
        ("C[N+](C)(C)C", 1),
        ("O=[N+]([O-])c1ccccc1", 2),  # not two more for the oxygens, which would move a charge
        ("c1ccc2ccccc2c1", 3),
        ("c1ccc2c(c1)ccc1ccccc12", 5),
        ("c1ccc2[nH]ccc2c1", 2),
        ("c1ccc(-c2ccccc2)cc1", 4),
        ("C1=CC=CC=CC=C1", 1),  # not aromatic: its bonds are kept where they are written
        ("c1ccccc1.c1ccccc1", 4),
    ],
)
def test_a_fragment_is_its_molecule_in_every_kekule_form(smiles: str, forms: int) -> None:
    found = read_scaffold(smiles, DRUG).fragment
    assert found.bonds.shape == (forms, len(found), len(found))
    assert len({tuple(form.flatten().tolist()) for form in found.bonds}) == forms
    assert (found.bonds == found.bonds.mT).all()
    assert not found.closed.any()
    want = max(Chem.MolToSmiles(Chem.MolFromSmiles(smiles)).split("."), key=len)
    assert {entry.smiles for entry in molecules_of(graphs(found), DRUG)} == {want}


def test_the_first_form_is_the_one_that_molecules_are_coded_in() -> None:
    for smiles in ("Cc1ccccn1", "c1ccc2ccccc2c1"):
        coded = encode([smiles], DRUG).graphs
        n = int(coded.counts[0])
        assert (read_scaffold(smiles, DRUG).fragment.bonds[0] == coded.bonds[0, :n, :n]).all()


def test_what_needs_another_form_can_be_grown() -> None:
    """A furan on 2-methylpyridine shares a double bond with it, which only one of the two forms has there."""
    fused = Chem.MolFromSmiles("Cc1nccc2occc12")
    Chem.Kekulize(fused, clearAromaticFlags=True)
    place = fused.GetSubstructMatch(Chem.MolFromSmarts("CC~1~N~C~C~C~C1"))
    kept = [
        all(
            DRUG.bonds[kind].upper() == str(fused.GetBondBetweenAtoms(place[i], place[j]).GetBondType())
            for i, j, kind in ((i, j, int(form[i, j])) for i, j in form.triu().nonzero().tolist())
        )
        for form in read_scaffold("Cc1ncccc1", DRUG).fragment.bonds
    ]
    assert sorted(kept) == [False, True]


def test_the_number_of_forms_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    naphthalenes = "c1ccc2cc(-c3ccc4cc(-c5ccc6ccccc6c5)ccc4c3)ccc2c1"
    everything = read_scaffold(naphthalenes, DRUG).fragment.bonds
    assert len(everything) == 3**3 < MOST_FORMS
    monkeypatch.setattr(scaffold_query, "MOST_FORMS", 5)
    some = read_scaffold(naphthalenes, DRUG).fragment.bonds
    assert len(some) == 5
    assert (some[0] == everything[0]).all()


def test_open_positions_are_new_atoms_of_any_type_and_all_else_is_closed() -> None:
    found = read_scaffold("*C(=O)N[*]", CHARGED).fragment
    assert found.atoms.tolist() == [FREE, 0, 2, 1, FREE]
    assert found.closed.tolist() == [False, True, True, True, False]
    assert found.bonds[0, 0].tolist() == [0, 1, 0, 0, FREE]  # the two new atoms may be bonded with one another
    assert (found.bonds == found.bonds.mT).all()


def test_open_positions_are_open_in_every_form() -> None:
    found = read_scaffold("*c1ccccc1*", CHARGED).fragment
    assert found.bonds[:, 0, 7].tolist() == [FREE, FREE]
    assert found.bonds[:, 0, 1].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("scaffold", "smiles", "within"),
    [
        ("O=c1cc[nH]cc1", "CC1C2=CC(=O)C1=CN2", False),  # a bridge across the ring: no longer aromatic
        ("O=c1cc[nH]cc1", "Cn1ccc(=O)c(O)c1", True),
        ("c1cc[nH]c1", "c1ccc2[nH]ccc2c1", True),
        ("c1ccsc1", "O=S1(=O)C=CC=C1", False),
        ("C=CC=C", "C1=CC=CO1", False),  # furan
        ("C=CC=C", "C=CC=CC", True),
        ("*c1ccccc1*", "c1ccc2ccccc2c1", True),
        ("*c1ccccc1*", "Cc1ccccc1", False),
        ("C[N+](C)(C)C", "CN(C)C", False),
        ("[CH2]O", "CCO", True),
        ("O.c1ccccc1", "OCc1ccccc1", True),
        ("CN", "", False),
    ],
)
def test_the_scaffold_is_looked_for_as_it_was_asked_for(scaffold: str, smiles: str, within: bool) -> None:
    assert read_scaffold(scaffold, DRUG).within(smiles) is within


def test_isotopes_and_hydrogens_are_read_as_everywhere_else() -> None:
    assert read_scaffold("[2H]C([2H])([2H])[13CH2:1][OH]", CHARGED).fragment.atoms.tolist() == [0, 0, 2]


def test_charges_are_dropped_where_the_vocabulary_has_none() -> None:
    found = read_scaffold("C[NH3+]", NEUTRAL)
    assert found.fragment.atoms.tolist() == [0, 1]
    assert found.within("CCN")
    assert len(read_scaffold("[O-][n+]1ccccc1", NEUTRAL).fragment.bonds) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("c1cc", "not a SMILES"),
        ("", "it is empty"),
        ("*", "no heavy atom"),
        ("CCCCCCCCC", "at most 9 heavy atoms"),
        ("*CCCCCCCCC", "at most 9 heavy atoms"),
        ("CS", "lacks S"),
        ("CSC(Cl)(Cl)C[OH2+]", "lacks S, Cl, O+"),
        ("C$C.[SiH4]", "lacks Si, quadruple bonds"),
        ("N->[B](C)C", "lacks B, dative bonds"),
    ],
)
def test_what_does_not_fit_is_said(text: str, reason: str) -> None:
    with pytest.raises(FedmolError) as caught:
        read_scaffold(text, CHARGED)
    assert caught.value.exit is Exit.USAGE
    assert caught.value.message.endswith(reason)


def test_the_cure_names_what_the_vocabulary_holds() -> None:
    with pytest.raises(FedmolError) as caught:
        read_scaffold("CS", CHARGED)
    assert "C, N, O, F, N+, O-, N-, C-; single, double, triple bonds" in caught.value.cure
