from __future__ import annotations

import pytest
import torch
from rdkit import Chem

from fedmol.chem import vocabulary
from fedmol.chem.graphs_to_molecules import read_graphs
from fedmol.chem.smiles_to_graphs import encode
from fedmol.data.embedded import embedded

CHARGED = vocabulary.get("qm9-charged")


def canonical(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


@pytest.mark.slow
def test_ten_thousand_molecules_come_back_exactly(ten_thousand: list[str]) -> None:
    encoded = encode(ten_thousand, CHARGED)
    assert encoded.rejected == {}
    assert list(encoded.rows) == list(range(len(ten_thousand)))
    expected = [canonical(smiles) for smiles in ten_thousand]
    assert encoded.smiles == expected
    readings = read_graphs(encoded.graphs, CHARGED)
    assert [reading.smiles for reading in readings] == expected
    assert [reading.relaxed for reading in readings] == expected
    assert all(reading.connected for reading in readings)


@pytest.mark.parametrize(
    "smiles",
    [
        "c1cc[nH]c1",
        "c1cnc[nH]1",
        "C[n+]1cc[nH]c1",
        "[nH]1nnnc1",
        "O=c1cc[nH]cc1",
        "[NH3+]CC(=O)[O-]",
        "O=[N+]([O-])c1ccco1",
        "[C-]#[N+]C",
        "C[N-]S",
        "[O-][n+]1ccccc1",
        "C",
    ],
)
def test_hydrogens_and_charges_come_back_from_valence(smiles: str) -> None:
    drug = vocabulary.get("drug") if "S" in smiles else CHARGED
    encoded = encode([smiles], drug)
    assert [reading.smiles for reading in read_graphs(encoded.graphs, drug)] == [canonical(smiles)]


def test_graphs_keep_the_form_that_training_relies_on() -> None:
    graphs = encode(embedded()[:300], CHARGED).graphs
    assert (graphs.atoms.dtype, graphs.bonds.dtype) == (torch.int16, torch.int8)
    assert graphs.width == int(graphs.counts.max())
    assert torch.equal(graphs.bonds, graphs.bonds.transpose(1, 2))
    assert not graphs.bonds.diagonal(dim1=1, dim2=2).any()
    assert not graphs.bonds[~graphs.pair_mask].any()
    assert not graphs.atoms[~graphs.atom_mask].any()
    assert int(graphs.bonds.max()) <= 3, "aromatic bonds must be kekulised"


def test_reordered_atoms_read_as_the_same_molecule() -> None:
    encoded = encode(embedded()[:200], CHARGED)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    full = encoded.graphs[encoded.graphs.counts == 9]
    wanted = [s for s, n in zip(encoded.smiles, encoded.graphs.counts.tolist(), strict=True) if n == 9]
    shuffled = type(full)(full.atoms[:, order], full.bonds[:, order][:, :, order], full.counts)
    assert [reading.smiles for reading in read_graphs(shuffled, CHARGED)] == wanted


def test_stereo_isotopes_and_maps_are_dropped() -> None:
    encoded = encode(["C[C@H](N)C(=O)O", "F/C=C/F", "[13CH3]O", "[CH3:7]O", "[2H]OC"], CHARGED)
    assert encoded.smiles == ["CC(N)C(=O)O", "FC=CF", "CO", "CO", "CO"]


def test_neutral_vocabulary_drops_charges_as_the_reference_does() -> None:
    neutral = vocabulary.get("qm9")
    encoded = encode(["[NH3+]CC(=O)[O-]", "O=[N+]([O-])c1ccco1"], neutral)
    glycine, nitrofuran = read_graphs(encoded.graphs, neutral)
    assert encoded.smiles == ["NCC(=O)O", "O=[N+]([O-])c1ccco1"]
    assert glycine.smiles == "NCC(=O)O"
    assert nitrofuran.smiles is None
    assert nitrofuran.relaxed is not None
