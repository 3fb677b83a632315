from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fedmol.diffusion import Census, Conditions, Logits, NoiseModel, sample
from fedmol.diffusion.inpainting import FREE, Fragment, Inpainting, between
from fedmol.diffusion.noise_model import cosine_alphas_bar
from fedmol.diffusion.samplers import ANCESTRAL, FEW_STEP, Sampler

# Three atoms in a row, the last of them of any type and the only one that grows.
FRAGMENT = Fragment(
    torch.tensor([0, 1, FREE]),
    torch.tensor([[[0, 2, 0], [2, 0, 1], [0, 1, 0]]]),
    torch.tensor([True, True, False]),
)
# The same with its double bond at either place.
FORMS = Fragment(FRAGMENT.atoms, torch.cat([FRAGMENT.bonds, FRAGMENT.bonds.flip(1, 2)]), FRAGMENT.closed)


def uniform(atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None) -> Logits:
    return Logits(torch.zeros(*atoms.shape, 3), torch.zeros(*bonds.shape, 4))


def some_noise() -> NoiseModel:
    census = Census(torch.tensor([3, 2, 1]), torch.tensor([5, 3, 1, 1]), torch.tensor([0, 0, 1, 1, 1, 2]))
    return NoiseModel.from_census(census, steps=50)


@pytest.mark.parametrize("sampler", [ANCESTRAL, FEW_STEP], ids=lambda sampler: sampler.name)
def test_every_sampler_keeps_the_fragment(sampler: Sampler) -> None:
    noise = between(some_noise(), 4, 5)
    made = sample(Inpainting(uniform, FRAGMENT), noise, 64, torch.Generator().manual_seed(0), 5, sampler=sampler)
    assert set(made.counts.tolist()) == {4, 5}
    assert (made.atoms[:, :2] == torch.tensor([0, 1])).all()
    assert (made.bonds[:, :3, :3] == FRAGMENT.bonds).all()
    assert (made.bonds[:, :2, 3:] == 0).all()


@pytest.mark.parametrize("sampler", [ANCESTRAL, FEW_STEP], ids=lambda sampler: sampler.name)
def test_the_graphs_of_a_batch_take_the_forms_in_turn_and_keep_them(sampler: Sampler) -> None:
    noise, generator = between(some_noise(), 4, 4), torch.Generator().manual_seed(0)
    made = sample(Inpainting(uniform, FORMS), noise, 7, generator, 5, sampler=sampler)
    for row, bonds in enumerate(made.bonds[:, :3, :3]):
        assert (bonds == FORMS.bonds[row % 2]).all()
    assert (made.bonds == made.bonds.mT).all()
    assert (made.bonds[:, :2, 3:] == 0).all()


def test_the_denoiser_sees_the_form_that_is_kept() -> None:
    seen: list[Tensor] = []

    def watches(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        seen.append(bonds[:, :3, :3])
        return uniform(atoms, bonds, counts, time)

    sample(Inpainting(watches, FORMS), between(some_noise(), 4, 4), 4, torch.Generator().manual_seed(0), 3)
    assert len(seen) == 4
    assert all((bonds == FORMS.bonds[[0, 1, 0, 1]]).all() for bonds in seen)


def test_the_free_atom_and_what_grows_are_left_to_the_denoiser() -> None:
    logits = Inpainting(uniform, FRAGMENT)(
        torch.zeros(1, 5, dtype=torch.int64), torch.zeros(1, 5, 5, dtype=torch.int64), torch.tensor([5]), torch.ones(1)
    )
    shares = logits.atoms.softmax(-1)[0]
    torch.testing.assert_close(shares[2:], torch.full((3, 3), 1 / 3))
    torch.testing.assert_close(shares[:2], torch.eye(3)[[0, 1]])
    bonds = logits.bonds.softmax(-1)[0]
    assert (bonds == bonds.transpose(0, 1)).all()
    torch.testing.assert_close(bonds[2, 3], torch.full((4,), 0.25))
    torch.testing.assert_close(bonds[0, 3], torch.eye(4)[0])


def test_the_denoiser_sees_the_fragment_without_noise() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def watches(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        seen.append((atoms, bonds))
        return uniform(atoms, bonds, counts, time)

    sample(Inpainting(watches, FRAGMENT), between(some_noise(), 4, 5), 8, torch.Generator().manual_seed(0), 3)
    for atoms, bonds in seen:
        assert (atoms[:, :2] == torch.tensor([0, 1])).all()
        assert (bonds[:, :3, :3] == FRAGMENT.bonds).all()
        assert (bonds == bonds.transpose(1, 2)).all()


def test_an_exact_denoiser_makes_the_rest_fit_the_fragment() -> None:
    """All graphs are 0-1 without a bond or 1-0 with one, so the atoms decide about the bond, which is often there."""
    joint = torch.zeros(2, 2, 2, dtype=torch.float64)  # (first atom, second atom, bond)
    joint[0, 1, 0], joint[1, 0, 1] = 0.3, 0.7
    noise = NoiseModel(
        20,
        cosine_alphas_bar(20),
        torch.tensor([0.5, 0.5], dtype=torch.float64),
        torch.tensor([0.3, 0.7], dtype=torch.float64),
        torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),
    )

    def exact(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        kept = noise.alphas_bar[(time[0] * noise.steps).round().long()]

        def seen(codes: Tensor, limit: Tensor) -> Tensor:  # q(z | x) for every x
            return kept * (codes[:, None] == torch.arange(2)) + (1 - kept) * limit[codes][:, None]

        first, second = (seen(atoms[:, slot], noise.atom_marginal) for slot in range(2))
        joined = torch.einsum("xye,bx,by,be->bxye", joint, first, second, seen(bonds[:, 0, 1], noise.bond_marginal))
        pair = joined.sum((1, 2)).log()[:, None, None].expand(-1, 2, 2, 2)
        return Logits(torch.stack([joined.sum((2, 3)), joined.sum((1, 3))], 1).log(), pair)

    given = Fragment(torch.tensor([0, 1]), torch.full((1, 2, 2), FREE), torch.tensor([False, False]))
    made = sample(Inpainting(exact, given), noise, 500, torch.Generator().manual_seed(0), sampler=ANCESTRAL)
    assert (made.bonds[:, 0, 1] == 0).double().mean().item() > 0.95


def test_sizes_keep_their_proportions() -> None:
    assert between(some_noise(), 4, 5).size_distribution[4:].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert between(some_noise(), 1, 1).size_distribution.tolist() == [0, 1, 0, 0, 0, 0]


def test_the_smallest_graph_has_something_left_to_choose() -> None:
    assert Fragment(torch.tensor([0, 1]), torch.tensor([[[0, 1], [1, 0]]]), torch.tensor([False, False])).least == 3
    assert FRAGMENT.least == 3
