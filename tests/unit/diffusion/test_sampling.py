from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from fedmol.diffusion import Census, Logits, NoiseModel, nll, sample
from fedmol.diffusion.samplers import time_grid
from fedmol.graphs import Graphs

# The whole "data set": C-O, C=N and N-N with these shares.
DATA = [((0, 2), 1, 0.5), ((0, 1), 2, 0.3), ((1, 1), 1, 0.2)]


def data(copies: int) -> Graphs:
    rows = [(atoms, bond) for atoms, bond, share in DATA for _ in range(round(share * copies))]
    bonds = torch.zeros(len(rows), 2, 2, dtype=torch.int8)
    for index, (_, bond) in enumerate(rows):
        bonds[index, 0, 1] = bonds[index, 1, 0] = bond
    atoms = torch.tensor([atoms for atoms, _ in rows], dtype=torch.int8)
    return Graphs(atoms, bonds, torch.full((len(rows),), 2))


class Bayes:
    """The exact denoiser: the marginals of p(x | z_t) by enumeration of the data set, in both orders of the atoms."""

    def __init__(self, noise: NoiseModel) -> None:
        self.noise = noise

    def __call__(self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor) -> Logits:
        kept = self.noise.alphas_bar[(time * self.noise.steps).round().long()]

        def likelihood(seen: Tensor, clean: int, marginal: Tensor) -> Tensor:
            return kept * (seen == clean) + (1 - kept) * marginal[seen]

        atom_share = torch.full((len(counts), 2, 4), 1e-12, dtype=torch.float64)
        bond_share = torch.full((len(counts), 2, 2, 5), 1e-12, dtype=torch.float64)
        for pair, bond, share in DATA:
            for first, second in (pair, pair[::-1]):
                weight = share * likelihood(atoms[:, 0], first, self.noise.atom_marginal)
                weight = weight * likelihood(atoms[:, 1], second, self.noise.atom_marginal)
                weight = weight * likelihood(bonds[:, 0, 1], bond, self.noise.bond_marginal)
                atom_share[:, 0, first] += weight
                atom_share[:, 1, second] += weight
                bond_share[:, :, :, bond] += weight[:, None, None]
        return Logits(atom_share.log(), bond_share.log())


def frequencies(graphs: Graphs) -> dict[tuple[int, int, int], float]:
    found: dict[tuple[int, int, int], float] = {}
    for atoms, bonds in zip(graphs.atoms.tolist(), graphs.bonds.tolist(), strict=True):
        key = (min(atoms[:2]), max(atoms[:2]), bonds[0][1])
        found[key] = found.get(key, 0) + 1 / len(graphs)
    return found


@pytest.mark.parametrize(("steps", "allowed"), [(None, 0.03), (50, 0.06)])
def test_an_exact_denoiser_gives_the_data_back(steps: int | None, allowed: float) -> None:
    noise = NoiseModel.from_census(Census.take(data(10), 4, 5, 2), steps=200)
    made = sample(Bayes(noise), noise, 4000, torch.Generator().manual_seed(0), steps=steps, batch_size=4000)
    found = frequencies(made)
    for (first, second), bond, share in DATA:
        assert found[(first, second, bond)] == pytest.approx(share, abs=allowed)


def test_samples_are_well_formed_and_repeat_with_their_seed() -> None:
    sizes = Census(torch.tensor([3, 2, 1, 0]), torch.tensor([5, 3, 1, 0, 0]), torch.tensor([0, 1, 2, 3, 0]))
    noise = NoiseModel.from_census(sizes)

    def uniform(atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor) -> Logits:
        return Logits(torch.zeros(*atoms.shape, 4), torch.zeros(*bonds.shape, 5))

    calls: list[tuple[int, int]] = []
    first, second = (
        sample(uniform, noise, 50, torch.Generator().manual_seed(1), 10, 16, lambda *call: calls.append(call))
        for _ in range(2)
    )
    assert (first.atoms == second.atoms).all()
    assert (first.bonds == second.bonds).all()
    assert (first.bonds == first.bonds.transpose(1, 2)).all()
    assert (first.bonds[~first.pair_mask] == 0).all()
    assert first.atoms.dtype == first.bonds.dtype == torch.int8
    assert first.width == 4
    assert set(first.counts.tolist()) == {1, 2, 3}
    assert calls[43] == (44, 44)


@pytest.mark.parametrize(("last", "steps"), [(500, 500), (500, 100), (500, 7), (500, 1), (10, 900)])
def test_time_grid(last: int, steps: int) -> None:
    grid = time_grid(last, steps)
    assert grid[0] == last
    assert grid[-1] == 0
    assert len(grid) == min(steps, last) + 1
    assert all(t > s for t, s in itertools.pairwise(grid))


def test_a_module_is_asked_in_evaluation_mode_and_left_as_it_was() -> None:
    class Wary(torch.nn.Module):
        def forward(self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor) -> Logits:
            assert not self.training
            return Logits(torch.zeros(*atoms.shape, 4), torch.zeros(*bonds.shape, 5))

    noise, wary = NoiseModel.from_census(Census.take(data(10), 4, 5, 2)), Wary()
    sample(wary, noise, 2, torch.Generator().manual_seed(0), steps=1)
    nll(wary, noise, data(10), torch.Generator().manual_seed(0))
    assert wary.training
