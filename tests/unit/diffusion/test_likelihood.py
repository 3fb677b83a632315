from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fedmol.diffusion import Census, Conditions, Logits, NoiseModel, loss, nll
from fedmol.diffusion.posterior import plug_in_posterior
from fedmol.graphs import Graphs


def ethanol(copies: int) -> Graphs:
    atoms = torch.tensor([[0, 0, 2]], dtype=torch.int8)
    bonds = torch.tensor([[[0, 1, 0], [1, 0, 1], [0, 1, 0]]], dtype=torch.int8)
    return Graphs(atoms.repeat(copies, 1), bonds.repeat(copies, 1, 1), torch.full((copies,), 3))


class Knows:
    """A denoiser that is certain of one graph, whatever it is shown."""

    def __init__(self, answer: Graphs, sharpness: float) -> None:
        self.answer, self.sharpness = answer, sharpness

    def __call__(
        self, atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        batch = len(counts)
        one_hot = torch.nn.functional.one_hot
        return Logits(
            self.sharpness * one_hot(self.answer.atoms[0].long(), 4).float().expand(batch, -1, -1),
            self.sharpness * one_hot(self.answer.bonds[0].long(), 5).float().expand(batch, -1, -1, -1),
        )


def test_who_knows_the_only_graph_pays_for_its_size_alone() -> None:
    noise = NoiseModel.from_census(Census.take(ethanol(1), 4, 5, 9))
    unsure = NoiseModel(
        noise.steps, noise.alphas_bar, noise.atom_marginal, noise.bond_marginal, torch.tensor([0, 0, 0.5, 0.25, 0.25])
    )
    found = nll(Knows(ethanol(1), 60.0), unsure, ethanol(500), torch.Generator().manual_seed(0))
    for value in (found.published, found.edges_once, found.sampler):
        assert value == pytest.approx(math.log(4), abs=2e-2)  # the reference's floor of 1e-7, times T, is left
    assert found.molecules == 500


def test_terms_by_hand_for_a_denoiser_that_predicts_the_marginals() -> None:
    """One-step diffusion of a one-atom graph: every term can be written down."""
    count = 2000
    nothing = torch.zeros(count, 1, 1, dtype=torch.int8)
    carbon = Graphs(nothing[:, 0], nothing, torch.ones(count, dtype=torch.int64))
    marginal = torch.tensor([0.75, 0.25], dtype=torch.float64)
    kept = torch.tensor([0.9, 0.3], dtype=torch.float64)
    noise = NoiseModel(1, kept, marginal, torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0]))

    def denoiser(
        atoms: Tensor, bonds: Tensor, counts: Tensor, time: Tensor, conditions: Conditions | None = None
    ) -> Logits:
        return Logits(marginal.log().float().expand(len(counts), 1, 2), torch.zeros(len(counts), 1, 1, 2))

    found = nll(denoiser, noise, carbon, torch.Generator().manual_seed(0))
    reached = torch.tensor([0.3 + 0.7 * 0.75, 0.7 * 0.25], dtype=torch.float64)
    clean = torch.tensor([1.0, 0.0], dtype=torch.float64)
    divergence = 0.0
    for z_t in range(2):
        true, guess = (
            plug_in_posterior(x[None], torch.tensor([z_t]), kept[0], kept[1], marginal)[0] for x in (clean, marginal)
        )
        divergence += float(reached[z_t] * (true * (true / guess).log()).sum())
    assert found.terms["prior_atoms"] == pytest.approx(float((marginal * (marginal / reached).log()).sum()), abs=1e-6)
    assert found.terms["reconstruction_atoms"] == pytest.approx(-math.log(0.75), abs=1e-6)
    assert found.terms["diffusion_atoms"] == pytest.approx(divergence, rel=0.05)
    assert found.terms["diffusion_bonds"] == 0
    assert found.published == pytest.approx(found.edges_once) == pytest.approx(sum_of(found.terms))


def sum_of(terms: dict[str, float]) -> float:
    return terms["size"] + terms["prior_atoms"] + terms["diffusion_atoms"] + terms["reconstruction_atoms"]


def test_published_convention_counts_each_bond_twice() -> None:
    noise = NoiseModel.from_census(Census.take(ethanol(1), 4, 5, 9))
    found = nll(Knows(ethanol(1), 2.0), noise, ethanol(64), torch.Generator().manual_seed(0), batch_size=10)
    bonds = sum(found.terms[f"{term}_bonds"] for term in ("prior", "diffusion", "reconstruction"))
    assert bonds > 0.1
    assert found.published == pytest.approx(found.edges_once + bonds)
    assert found.standard_error > 0


def test_likelihood_repeats_with_its_seed() -> None:
    noise = NoiseModel.from_census(Census.take(ethanol(1), 4, 5, 9))
    first, second = (
        nll(Knows(ethanol(1), 2.0), noise, ethanol(64), torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert first == second


def test_loss_by_hand() -> None:
    """Uniform logits: log 4 per atom and 5 x log 5 per pair, whatever the padding."""
    padded = Graphs(
        torch.tensor([[0, 0, 2, 0], [1, 0, 0, 0]], dtype=torch.int8),
        torch.zeros(2, 4, 4, dtype=torch.int8),
        torch.tensor([3, 1]),
    )
    logits = Logits(torch.zeros(2, 4, 4), torch.zeros(2, 4, 4, 5))
    logits.atoms[1, 2:, 3] = 50.0
    logits.bonds[:, 0, 0, 1] = 50.0
    assert loss(logits, padded).item() == pytest.approx(math.log(4) + 5 * math.log(5), rel=1e-5)
    assert loss(logits, padded, bond_weight=0).item() == pytest.approx(math.log(4), rel=1e-5)


def test_loss_entry_by_entry() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = [4, 2, 1]
    upper = torch.randint(5, (3, 4, 4), generator=generator).triu(1)
    clean = Graphs(torch.randint(4, (3, 4), generator=generator), upper + upper.mT, torch.tensor(counts))
    logits = Logits(
        torch.randn(3, 4, 4, generator=generator).double(), torch.randn(3, 4, 4, 5, generator=generator).double()
    )

    def surprise(row: Tensor, chosen: int) -> float:
        return math.log(sum(math.exp(value) for value in row)) - float(row[chosen])

    atoms, bonds = [], []
    for molecule, n in enumerate(counts):
        for i in range(n):
            atoms.append(surprise(logits.atoms[molecule, i], int(clean.atoms[molecule, i])))
            bonds += [
                surprise(logits.bonds[molecule, i, j], int(clean.bonds[molecule, i, j])) for j in range(n) if i != j
            ]
    expected = sum(atoms) / len(atoms) + 5 * sum(bonds) / len(bonds)
    assert loss(logits, clean).item() == pytest.approx(expected, rel=1e-9)
