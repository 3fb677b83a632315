from __future__ import annotations

import torch

from fedmol.chem import vocabulary
from fedmol.chem.graphs_to_molecules import Reading, read_graphs
from fedmol.graphs import Graphs

QM9 = vocabulary.get("qm9")
CHARGED = vocabulary.get("qm9-charged")
C, N, OX, F = range(4)


def graph(atoms: list[int], bonds: list[tuple[int, int, int]], width: int = 6) -> Graphs:
    nodes = torch.zeros(1, width, dtype=torch.int8)
    nodes[0, : len(atoms)] = torch.tensor(atoms)
    edges = torch.zeros(1, width, width, dtype=torch.int8)
    for i, j, kind in bonds:
        edges[0, i, j] = edges[0, j, i] = kind
    return Graphs(nodes, edges, torch.tensor([len(atoms)]))


def read(atoms: list[int], bonds: list[tuple[int, int, int]], types: vocabulary.Vocabulary = QM9) -> Reading:
    return read_graphs(graph(atoms, bonds), types)[0]


def test_disconnected_graph_is_read_as_its_largest_fragment() -> None:
    assert read([OX, C, C, F], [(1, 2, 1), (2, 3, 1)]) == Reading("CCF", "CCF", connected=False)


def test_five_bonds_on_carbon_are_neither_strictly_nor_relaxed_valid() -> None:
    assert read([C, C, C, C], [(0, 1, 2), (0, 2, 2), (0, 3, 1)]) == Reading(None, None, connected=True)


def test_one_invalid_fragment_makes_the_whole_graph_invalid() -> None:
    assert read([F, F, F, C, C], [(0, 1, 1), (1, 2, 1), (3, 4, 1)]).smiles is None


def test_nitrogen_and_oxygen_with_one_bond_too_many_are_relaxed_valid() -> None:
    assert read([N, C, C, C, C], [(0, k, 1) for k in range(1, 5)]) == Reading(None, "C[N+](C)(C)C", connected=True)
    assert read([OX, C, C, C], [(0, k, 1) for k in range(1, 4)]) == Reading(None, "C[O+](C)C", connected=True)


def test_nitrogen_with_two_bonds_too_many_is_not() -> None:
    assert read([N, C, C, C], [(0, 1, 2), (0, 2, 2), (0, 3, 1)]).relaxed is None


def test_charge_of_the_vocabulary_counts_in_strict_validity() -> None:
    positive = CHARGED.atom_labels.index("N+")
    four = [(0, k, 1) for k in range(1, 5)]
    assert read([positive, C, C, C, C], four, CHARGED).smiles == "C[N+](C)(C)C"
    assert read([N, C, C, C, C], four, CHARGED).smiles is None


def test_aromatic_class_of_the_reference_is_understood() -> None:
    ring = [(k, (k + 1) % 6, 4) for k in range(6)]
    assert read([C] * 6, ring).smiles == "c1ccccc1"
    assert read([C] * 5, ring[:4]).smiles is None, "an aromatic bond outside a ring"


def test_graph_without_atoms_is_no_molecule() -> None:
    assert read([], []) == Reading(None, None, connected=False)
