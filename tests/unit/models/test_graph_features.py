from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor

from fedmol.models.cycles import cycle_counts
from fedmol.models.digress import reference_features
from fedmol.models.inputs import NoisyGraphs, walk_powers
from fedmol.models.pair_layout import OrderedPairs, unordered_pairs
from fedmol.models.spectrum import spectral_features


def random_adjacency(batch: int, n: int, seed: int, density: float = 0.45) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    upper = (torch.rand(batch, n, n, generator=generator) < density).float().triu(1)
    return upper + upper.mT


def cycles_by_search(adjacency: Tensor, length: int) -> tuple[list[float], float]:
    """Cycles of `length` through each node, and in all, by trying every sequence of nodes."""
    rows = adjacency.tolist()
    n = len(rows)
    through = [0.0] * n
    for path in permutations(range(n), length):
        if all(rows[a][b] for a, b in zip(path, (*path[1:], path[0]), strict=True)):
            for node in path:
                through[node] += 1 / (2 * length)
    return through, sum(through) / length


@pytest.mark.parametrize("seed", range(3))
def test_cycles_against_search(seed: int) -> None:
    adjacency = random_adjacency(6, 7, seed)
    nodes, graph = cycle_counts(adjacency)
    for index in range(6):
        for column, length in enumerate((3, 4, 5, 6)):
            through, total = cycles_by_search(adjacency[index], length)
            assert graph[index, column].item() == pytest.approx(total, abs=1e-3)
            if length < 6:
                torch.testing.assert_close(nodes[index, :, column], torch.tensor(through), atol=1e-3, rtol=0)


def test_components_and_the_smaller_ones() -> None:
    """A triangle, a bond and a lone atom, and one empty slot."""
    adjacency = torch.zeros(1, 7, 7)
    for i, j in [(0, 1), (1, 2), (0, 2), (3, 4)]:
        adjacency[0, i, j] = adjacency[0, j, i] = 1
    mask = torch.arange(7)[None] < 6
    nodes, graph = spectral_features(adjacency, mask)
    assert nodes[0, :, 0].tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert graph[0, 0] == 3
    torch.testing.assert_close(graph[0, 1:], torch.tensor([2 / 6, 3 / 6, 3 / 6, 2.0, 2.0]), atol=1e-5, rtol=0)


def test_first_eigenvector_of_a_path() -> None:
    adjacency = torch.diag(torch.ones(3), 1)[None]
    nodes, graph = spectral_features(adjacency + adjacency.mT, torch.ones(1, 4, dtype=torch.bool))
    expected = torch.cos(torch.pi * (torch.arange(4) + 0.5) / 4)
    overlap = (nodes[0, :, 1] @ (expected / expected.norm())).abs()
    assert overlap.item() == pytest.approx(1, abs=1e-5)
    assert graph[0, 1].item() == pytest.approx((2 - 2**0.5) / 4, abs=1e-5)


def test_walks_return_with_the_random_walks_probabilities() -> None:
    adjacency = random_adjacency(4, 6, 0)
    step = adjacency / adjacency.sum(-1, keepdim=True).clamp_min(1)
    powers = walk_powers(adjacency, 4)
    for k in range(4):
        expected = torch.linalg.matrix_power(step, k + 1).diagonal(dim1=1, dim2=2)
        torch.testing.assert_close(powers[..., k].diagonal(dim1=1, dim2=2), expected)
    torch.testing.assert_close(powers, powers.transpose(1, 2))


@pytest.mark.parametrize("atoms", [1, 2, 5, 9])
def test_packing_loses_nothing_of_a_symmetric_matrix(atoms: int) -> None:
    matrix = random_adjacency(3, atoms, 1)[..., None] * torch.arange(1.0, 4.0)
    layout = unordered_pairs(atoms, matrix.device)
    rows = layout.pack(matrix)
    assert rows.shape == (3, atoms * (atoms - 1) // 2, 3)
    torch.testing.assert_close(layout.unpack(rows), matrix)
    torch.testing.assert_close(OrderedPairs().unpack(OrderedPairs().pack(matrix)), matrix)


def test_features_of_a_molecule_by_hand() -> None:
    """Methylenecyclopropane with a nitrogen in the ring and, apart from it, N#N: six slots of the eight are taken.

    The ring's atoms are 0 1 2, the double bond 0=3; its Laplacian (a triangle with a tail) has the eigenvalues
    0, 1, 3, 4, the pair's are 0 and 2.
    """
    atoms = torch.tensor([[0, 1, 0, 0, 1, 1, 0, 0]])
    bonds = torch.zeros(1, 8, 8, dtype=torch.long)
    for i, j, bond in [(0, 1, 1), (1, 2, 1), (0, 2, 1), (0, 3, 2), (4, 5, 3)]:
        bonds[0, i, j] = bonds[0, j, i] = bond
    graphs = NoisyGraphs.of(atoms, bonds, torch.tensor([6]), torch.tensor([0.3]), atom_types=4, bond_types=5)
    found = reference_features(graphs, max_atoms=9)
    valency = torch.tensor([4.0, 2, 2, 2, 3, 3, 0, 0])
    assert found.nodes.shape == (1, 8, 12)
    assert torch.equal(found.nodes[..., :4], graphs.atoms)
    triangle = torch.tensor([0.1, 0.1, 0.1, 0, 0, 0, 0, 0])
    torch.testing.assert_close(found.nodes[0, :, 4], triangle)
    assert (found.nodes[0, :, 5:7] == 0).all()
    assert found.nodes[0, :, 7].tolist() == [0, 0, 0, 0, 1, 1, 0, 0]
    for column, eigenvalue in ((8, 1.0), (9, 2.0)):
        vector = found.nodes[0, :, column]
        torch.testing.assert_close(laplacian(graphs.adjacency[0]) @ vector, eigenvalue * vector, atol=1e-5, rtol=0)
        assert vector.norm().item() == pytest.approx(1, abs=1e-5)
    assert torch.equal(found.nodes[0, :, 10], torch.tensor([-4.0, -1, -2, -2, -2, -2, 0, 0]))
    assert torch.equal(found.nodes[0, :, 11], valency)
    cycles = [0.1, 0.0, 0.0, 0.0]
    spectrum = [2.0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 2.0]
    weight = (3 * 12 + 3 * 14) / 150
    expected = torch.tensor([6 / 9, *cycles, *spectrum, weight, 0.3])
    torch.testing.assert_close(found.whole[0], expected, atol=1e-5, rtol=0)
    assert torch.equal(found.pairs, graphs.bonds)


def laplacian(adjacency: Tensor) -> Tensor:
    return torch.diag(adjacency.sum(-1)) - adjacency


def test_cycle_features_are_clipped() -> None:
    """Every pair of nine atoms bonded: each atom lies on 28 triangles."""
    bonds = 1 - torch.eye(9, dtype=torch.long)[None]
    graphs = NoisyGraphs.of(torch.zeros(1, 9), bonds, torch.tensor([9]), torch.zeros(1), atom_types=4, bond_types=5)
    found = reference_features(graphs, max_atoms=9)
    assert (found.nodes[0, :, 4:7] == 1).all()
    assert (found.whole[0, 1:5] == 1).all()
