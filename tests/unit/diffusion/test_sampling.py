from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from fedmol.diffusion import Census, Conditions, Logits, NoiseModel, nll, sample
from fedmol.diffusion.noise_model import cosine_alphas_bar
from fedmol.diffusion.samplers import ANCESTRAL, Draw, Sampler, get, time_grid
from fedmol.errors import Exit, FedmolError
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

    def __call__(
        self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
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


WAYS = [ANCESTRAL] + [
    Sampler(f"memory {atoms} {bonds}", steps=None, warp=warp, atoms=Draw(atoms), bonds=Draw(bonds))
    for atoms, bonds, warp in [(0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.5, 0.5, 1.0), (1.0, 0.0, 3.0)]
]


@pytest.mark.parametrize("sampler", WAYS, ids=lambda sampler: sampler.name)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_one_atom_alone_follows_the_data_in_any_number_of_steps(sampler: Sampler, steps: int) -> None:
    """Chi-square against the data's distribution: with a single entry the exact denoiser leaves no error at all."""
    shares = torch.tensor([0.1, 0.5, 0.15, 0.25], dtype=torch.float64)
    marginal = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)  # not the data's: so that all is in the steps
    noise = NoiseModel(
        100, cosine_alphas_bar(100), marginal, torch.ones(1, dtype=torch.float64), torch.tensor([0.0, 1.0])
    )

    def exact(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        kept = noise.alphas_bar[(time[0] * noise.steps).round().long()]
        seen = kept * torch.nn.functional.one_hot(atoms, 4) + (1 - kept) * marginal[atoms][..., None]
        return Logits((shares * seen).log(), torch.zeros(len(counts), 1, 1, 1))

    made = sample(exact, noise, 20_000, torch.Generator().manual_seed(0), steps, 20_000, sampler=sampler)
    expected = 20_000 * shares
    counted = torch.bincount(made.atoms[:, 0], minlength=4)
    assert ((counted - expected) ** 2 / expected).sum().item() < 21.1  # exceeded by chance once in ten thousand


@pytest.mark.parametrize("sampler", WAYS, ids=lambda sampler: sampler.name)
@pytest.mark.parametrize(("steps", "allowed"), [(None, 0.03), (50, 0.06)])
def test_an_exact_denoiser_gives_the_data_back(sampler: Sampler, steps: int | None, allowed: float) -> None:
    """Entries are drawn independently at each step: small steps make that right, but not where all is drawn anew."""
    allowed = 0.06 if sampler.atoms.memory == 0 else allowed
    noise = NoiseModel.from_census(Census.take(data(10), 4, 5, 2), steps=200)
    generator = torch.Generator().manual_seed(0)
    made = sample(Bayes(noise), noise, 4000, generator, steps=steps, batch_size=4000, sampler=sampler)
    found = frequencies(made)
    for (first, second), bond, share in DATA:
        assert found[(first, second, bond)] == pytest.approx(share, abs=allowed)


def test_samples_are_well_formed_and_repeat_with_their_seed() -> None:
    sizes = Census(torch.tensor([3, 2, 1, 0]), torch.tensor([5, 3, 1, 0, 0]), torch.tensor([0, 1, 2, 3, 0]))
    noise = NoiseModel.from_census(sizes)

    def uniform(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
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
    assert (first.atoms.dtype, first.bonds.dtype) == (torch.int16, torch.int8)
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


def test_a_warped_grid_has_its_short_jumps_at_the_end() -> None:
    grid = time_grid(500, 20, warp=3.0)
    assert (grid[0], grid[-1], len(grid)) == (500, 0, 21)
    jumps = [t - s for t, s in itertools.pairwise(grid)]
    assert jumps == sorted(jumps, reverse=True)
    for warp in (0.5, 3.0):
        assert time_grid(10, 10, warp=warp) == list(range(10, -1, -1))


def test_a_high_temperature_makes_rare_classes_less_rare() -> None:
    logits, noisy, marginal = torch.tensor([2.0, 0.0, 0.0]), torch.tensor(0), torch.ones(3) / 3
    cold, hot = (
        Draw(memory=0.0, temperature=one).distribution(logits, noisy, torch.tensor(1.0), torch.tensor(0.5), marginal)
        for one in (0.5, 4.0)
    )
    torch.testing.assert_close(cold, (logits / 0.5).softmax(-1))
    torch.testing.assert_close(hot, (logits / 4.0).softmax(-1))


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(FedmolError) as caught:
        get("magic")
    assert caught.value.exit is Exit.BAD_SETTINGS
    assert "ancestral" in caught.value.cure


def test_a_module_is_asked_in_evaluation_mode_and_left_as_it_was() -> None:
    class Wary(torch.nn.Module):
        def forward(
            self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
        ) -> Logits:
            assert not self.training
            return Logits(torch.zeros(*atoms.shape, 4), torch.zeros(*bonds.shape, 5))

    noise, wary = NoiseModel.from_census(Census.take(data(10), 4, 5, 2)), Wary()
    sample(wary, noise, 2, torch.Generator().manual_seed(0), steps=1)
    nll(wary, noise, data(10), torch.Generator().manual_seed(0))
    assert wary.training
