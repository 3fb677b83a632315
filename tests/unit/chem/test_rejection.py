from __future__ import annotations

import pytest

from fedmol.chem import vocabulary
from fedmol.chem.smiles_to_graphs import encode

CHARGED = vocabulary.get("qm9-charged")


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("", "empty cell"),
        ("  ", "empty cell"),
        ("c1ccccc", "not a SMILES"),
        ("CCO ethanol", "text after the SMILES"),
        ("C\0C", "not a SMILES"),
        ("ethanol", "not a SMILES"),
        ("InChI=1S/CH4/h1H4", "an InChI, not a SMILES"),
        ("LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "an InChIKey, not a SMILES"),
        ("CCO>>CC=O", "a reaction, not a molecule"),
        ("CC(=O)O.N->B>[H+]>CCO esterification", "a reaction, not a molecule"),
        ("N->B(->N", "not a SMILES"),
        ("CCO |foo", "CXSMILES extension that cannot be read"),
        ("C(C)(C)(C)(C)C", "impossible valence: C"),
        ("CN(C)(C)C", "impossible valence: N"),
        ("c1cccc1", "aromatic ring that cannot be kekulised"),
        ("CC(:O):O", "aromatic bond outside an aromatic ring"),
        ("[CH3:1]:[CH3:2]", "aromatic bond outside an aromatic ring"),
        ("NC(:[NH2+]):N", "aromatic bond outside an aromatic ring"),
        ("CC(=O)[O-].[Na+]", "more than one fragment (salt, solvate or mixture)"),
        ("*CC* |$_AP1;;;_AP2$,Sg:n:1,2::ht|", "not one molecule (polymer, repeat or variable attachment)"),
        ("C1CC1 |LN:1:1.3|", "not one molecule (polymer, repeat or variable attachment)"),
        ("C[SiH3]", "element not in the vocabulary qm9-charged: Si"),
        ("C[O+](C)C", "charge not in the vocabulary qm9-charged: O+"),
        ("[Mg+2]", "element not in the vocabulary qm9-charged: Mg"),
        ("*C", "element not in the vocabulary qm9-charged: *"),
        ("[H][H]", "no heavy atom"),
        ("C" * 5000, "too large to be looked at (more than 1,000 heavy atoms)"),
        ("CCCCCCCCCC", "too large for the vocabulary qm9-charged (more than 9 heavy atoms)"),
        ("[CH3]", "radical"),
        ("CO |^1:0|", "radical"),
        ("O->N", "bond type not in the vocabulary"),
    ],
)
def test_each_reason(smiles: str, reason: str) -> None:
    encoded = encode(["CC", smiles, "CO"], CHARGED)
    assert encoded.rejected == {reason: [1]}
    assert list(encoded.rows) == [0, 2]
    assert encoded.smiles == ["CC", "CO"]
    assert len(encoded.graphs) == 2


@pytest.mark.parametrize(
    ("smiles", "graph", "original", "dropped"),
    [
        ("[H]/N=C(/N)\\N/C(=N\\[H])N(C)C", "CN(C)C(=N)NC(=N)N", True, {"stereo"}),
        ("[2H]C([2H])([2H])O", "CO", True, {"isotopes"}),
        ("[13CH3][C@H](N)F", "CC(N)F", True, {"isotopes", "stereo"}),
        ("[CH3:1][OH:7]", "CO", False, {"atom maps"}),
        ("[H]C([H])([H])[H]", "C", False, set()),
        ("C[C@@](C)(F)O", "CC(C)(O)F", False, set()),
        ("F/C=C/F |(1,2;3,4;5,6;7,8)|", "FC=CF", True, {"stereo"}),
        ("CC1=[C]C=C1 |^3:2|", None, False, set()),
        ("[NH3+]CC(=O)[O-]", "[NH3+]CC(=O)[O-]", False, set()),
    ],
)
def test_what_is_dropped_is_told(smiles: str, graph: str | None, original: bool, dropped: set[str]) -> None:
    encoded = encode([smiles], CHARGED)
    assert encoded.smiles == ([] if graph is None else [graph])
    assert (0 in encoded.originals) == original
    assert set(encoded.dropped) == dropped


def test_nothing_at_all() -> None:
    encoded = encode(["", "?"], CHARGED)
    assert len(encoded.graphs) == 0
    assert encoded.graphs.bonds.shape == (0, 0, 0)
    assert encode([], CHARGED).rejected == {}


def test_no_row_is_lost() -> None:
    smiles = ["C", "", "C.C", "[CH3]", "N", "Cl", "x"]
    encoded = encode(smiles, CHARGED)
    assert sorted(sum(encoded.rejected.values(), [*encoded.rows])) == list(range(len(smiles)))
