from __future__ import annotations

import pytest

from fedmol.chem import vocabulary
from fedmol.chem.encoding import encode

CHARGED = vocabulary.get("qm9-charged")


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("", "empty cell"),
        ("  ", "empty cell"),
        ("c1ccccc", "not a SMILES"),
        ("CCO ethanol", "not a SMILES"),
        ("C\0C", "not a SMILES"),
        ("ethanol", "not a SMILES"),
        ("C(C)(C)(C)(C)C", "not a SMILES"),
        ("CC(=O)[O-].[Na+]", "more than one fragment (salt?)"),
        ("C[SiH3]", "atom not in the vocabulary qm9-charged: Si"),
        ("C[O+](C)C", "atom not in the vocabulary qm9-charged: O+"),
        ("[Mg+2]", "atom not in the vocabulary qm9-charged: Mg+2"),
        ("*C", "atom not in the vocabulary qm9-charged: *"),
        ("[H][H]", "atom not in the vocabulary qm9-charged: H"),
        ("CCCCCCCCCC", "too large for the vocabulary qm9-charged (more than 9 heavy atoms)"),
        ("[CH3]", "radical"),
        ("CO |^1:0|", "radical"),
        ("O->N", "bond type not in the vocabulary"),
    ],
)
def test_each_reason(smiles: str, reason: str) -> None:
    encoded = encode(["CC", smiles, "CO"], CHARGED)
    assert encoded.rejected == {reason: [1]}
    assert encoded.rows == [0, 2]
    assert encoded.smiles == ["CC", "CO"]
    assert len(encoded.graphs) == 2


def test_nothing_at_all() -> None:
    encoded = encode(["", "?"], CHARGED)
    assert len(encoded.graphs) == 0
    assert encoded.graphs.bonds.shape == (0, 0, 0)
    assert encode([], CHARGED).rejected == {}


def test_no_row_is_lost() -> None:
    smiles = ["C", "", "C.C", "[CH3]", "N", "Cl", "x"]
    encoded = encode(smiles, CHARGED)
    assert sorted(encoded.rows + [row for rows in encoded.rejected.values() for row in rows]) == list(
        range(len(smiles))
    )
