from __future__ import annotations

import pytest

from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.counterions import ACIDS, BASES, SOLVENTS
from fedmol.chem.molecule_codes import TOO_LARGE
from fedmol.chem.normal_form import RejectedError, read
from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.standardise import (
    ALL_LISTED,
    CHARGES,
    GROUPS,
    INORGANIC,
    MANY_TAUTOMERS,
    METAL,
    MIXTURE,
    SALTS,
    TAUTOMER,
    coding_digest,
    known_molecules,
    read_by,
    standardised,
)

NONE, PARENT = vocabularies.get("drug"), vocabularies.get("drug", "parent")
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.mark.parametrize(
    ("said", "parent", "changed"),
    [
        (ASPIRIN, ASPIRIN, ()),
        ("CC(=O)Oc1ccccc1C(=O)[O-].[Na+]", ASPIRIN, (SALTS, CHARGES)),
        ("[Na]OC(=O)c1ccccc1OC(C)=O", ASPIRIN, (GROUPS, SALTS, CHARGES)),
        ("[Ca+2].CC(=O)Oc1ccccc1C(=O)[O-].CC(=O)Oc1ccccc1C([O-])=O", ASPIRIN, (SALTS, CHARGES)),
        ("CC(=O)Oc1ccccc1C(=O)O.NCCCCC(N)C(=O)O", ASPIRIN, (SALTS,)),
        ("CC(=O)Oc1ccccc1C(=O)O.CC(=O)Oc1ccccc1C(=O)[O-].[K+]", ASPIRIN, (SALTS,)),
        ("C[NH+]1CCCC1c1cccnc1.OC(C(O)C([O-])=O)C(O)=O", "CN1CCCC1c1cccnc1", (SALTS, CHARGES)),
        ("[NH3+]CCC([O-])=O", "NCCC(=O)O", (CHARGES,)),
        ("Oc1ccccn1", "O=c1cccc[nH]1", (TAUTOMER,)),
        ("CC(O)=CC(C)=O", "CC(=O)CC(C)=O", (TAUTOMER,)),
        ("C[N+](C)(C)CCO.[Cl-]", "C[N+](C)(C)CCO", (SALTS,)),
        ("CN(=O)=O", "C[N+](=O)[O-]", ()),
        ("CS(=O)CCl", "CS(=O)CCl", ()),
        ("C[S+]([O-])CCl", "CS(=O)CCl", (GROUPS,)),
        ("F[B-](F)(F)F.C[n+]1ccccc1", "C[n+]1ccccc1", (SALTS,)),
        ("CC#N.O.CCN", "CCN", (SALTS,)),
        ("OC(=O)C=CC(O)=O.Cc1ccccc1C", "Cc1ccccc1C", (SALTS, ALL_LISTED)),
    ],
)
def test_the_parent_of_a_substance_and_what_is_told_of_it(said: str, parent: str, changed: tuple[str, ...]) -> None:
    found, told = read_by("parent", said)
    assert (found.smiles, told) == (read(parent).smiles, changed)
    assert read_by("parent", found.smiles)[0].smiles == found.smiles


@pytest.mark.parametrize("said", ["CCCl.CCBr", "c1ccncc1CC.c1ccc2[nH]ccc2c1", "CC(=O)Oc1ccccc1C(=O)O.CN1CCCC1c1cccnc1"])
def test_a_mixture_is_refused(said: str) -> None:
    with pytest.raises(RejectedError, match=MIXTURE):
        read_by("parent", said)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("[Na+].[Cl-]", INORGANIC),
        ("O.Cl", INORGANIC),
        ("Cl[Pt]Cl.N.N", METAL),
        ("N[Pt](N)(Cl)Cl", METAL),
        ("[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1", METAL),
        ("[Cu+2].CC(=O)[O-].CC(=O)[O-]", METAL),
    ],
)
def test_what_has_no_substance_in_it_is_refused(said: str, reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        read_by("parent", said)


def test_a_salt_of_which_either_part_may_be_meant_is_told() -> None:
    found, told = read_by("parent", "OC(=O)c1ccccc1O.CCN(CC)CC")
    assert (found.smiles, told) == ("CCN(CC)CC", (SALTS, ALL_LISTED))
    assert ALL_LISTED not in read_by("parent", "OC(=O)c1ccccc1O.CN1CCCC1c1cccnc1")[1]


@pytest.mark.parametrize("name", [*ACIDS, *BASES, *SOLVENTS])
def test_what_is_listed_goes_and_stays_where_it_is_alone(name: str) -> None:
    smiles = read((ACIDS | BASES | SOLVENTS)[name]).smiles
    drug = "CC1CCN(C(=O)C2CC2)CC1F"
    assert read_by("parent", f"{drug}.{smiles}")[0].smiles == read_by("parent", drug)[0].smiles
    assert read_by("parent", smiles)[1] in ((), (TAUTOMER,))


def test_no_recipe_changes_nothing() -> None:
    molecule = read("Oc1ccccn1")
    assert standardised(molecule, "none", 9) == (molecule, ())
    with pytest.raises(RejectedError, match="more than one fragment"):
        read_by("none", "CCN.Cl")


def test_too_many_tautomers_to_choose_one() -> None:
    said = "CC(=O)" + "C(C(=O)C)" * 9 + "C(C)=O"
    found, told = read_by("parent", said)
    assert told == (MANY_TAUTOMERS,)
    assert found.smiles == read(said).smiles


def test_a_large_molecule_is_not_waited_for() -> None:
    said = "OC(=O)" + "CNC(=O)" * 200 + "C.Cl"
    rejected = encode([said], PARENT).rejected
    assert [reason.startswith(TOO_LARGE) for reason in rejected] == [True]


def test_graphs_of_one_substance_are_one_graph() -> None:
    ways = [ASPIRIN, "[Na+].[O-]C(=O)c1ccccc1OC(C)=O", "OC(=O)c1ccccc1OC(=O)C.NC(CO)(CO)CO"]
    encoded = encode(ways, PARENT)
    assert encoded.smiles == [read(ASPIRIN).smiles] * 3
    graphs = encoded.graphs
    assert (graphs.atoms == graphs.atoms[0]).all()
    assert (graphs.bonds == graphs.bonds[0]).all()
    assert encoded.changed == {SALTS: [1, 2], CHARGES: [1]}


def test_molecules_are_known_in_any_form() -> None:
    known = known_molecules([read_by("parent", "Oc1ccccn1")[0].smiles], PARENT)
    assert "Oc1ccccn1" in known
    assert "O=c1cccc[nH]1" in known
    assert "Oc1cccnc1" not in known
    assert "no SMILES" not in known
    assert (len(known), list(known)) == (1, ["O=c1cccc[nH]1"])
    assert "Oc1ccccn1" not in known_molecules(["O=c1cccc[nH]1"], NONE)


def test_sites_agree_on_the_recipe_by_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coding_digest(NONE) == NONE.digest()
    assert len({coding_digest(NONE), PARENT.digest(), coding_digest(PARENT)}) == 3
    with_this = coding_digest(PARENT)
    monkeypatch.setattr("fedmol.chem.standardise.rdBase.rdkitVersion", "2099.03.1")
    assert coding_digest(PARENT) != with_this
    assert coding_digest(NONE) == NONE.digest()
