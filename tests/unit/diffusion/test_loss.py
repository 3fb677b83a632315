"""The training loss, worked out by hand on two molecules."""

from __future__ import annotations

import math

import pytest
import torch

from fedmol.diffusion import loss
from fedmol.diffusion.denoising import Logits
from fedmol.graphs import Graphs


def molecules() -> Graphs:
    """C-C=O and N, in codes, with places that are no atoms."""
    atoms = torch.tensor([[0, 0, 2], [1, 0, 0]], dtype=torch.int8)
    bonds = torch.zeros(2, 3, 3, dtype=torch.int8)
    for i, j, bond in ((0, 1, 1), (1, 2, 2)):
        bonds[0, i, j] = bonds[0, j, i] = bond
    return Graphs(atoms, bonds, torch.tensor([3, 1]))


def logits(right_atoms: float, right_bonds: float, of: Graphs) -> Logits:
    """Logits that give the true class these odds, and each of the other two 1; nonsense where nothing is."""
    atoms, bonds = torch.full((*of.atoms.shape, 3), 7.0), torch.full((*of.bonds.shape, 3), -7.0)
    for told, codes, mask, odds in (
        (atoms, of.atoms, of.atom_mask, right_atoms),
        (bonds, of.bonds, of.pair_mask, right_bonds),
    ):
        true = torch.nn.functional.one_hot(codes.long(), 3).bool()
        told[mask] = torch.where(true, math.log(odds), 0.0)[mask]
    return Logits(atoms, bonds)


def test_an_even_guess_costs_the_logarithm_of_the_classes() -> None:
    graphs = molecules()
    assert loss(logits(1.0, 1.0, graphs), graphs).item() == pytest.approx(math.log(3) * (1 + 5))


def test_atoms_count_once_and_pairs_five_times_by_their_means() -> None:
    graphs = molecules()
    atoms, bonds = -math.log(2 / 4), -math.log(8 / 10)  # odds of 2 and 8 against two other classes
    assert loss(logits(2.0, 8.0, graphs), graphs).item() == pytest.approx(atoms + 5 * bonds)
    assert loss(logits(2.0, 8.0, graphs), graphs, bond_weight=0.5).item() == pytest.approx(atoms + 0.5 * bonds)


def test_the_losses_of_parts_add_up_to_that_of_the_whole() -> None:
    graphs = molecules()
    parts = [graphs[:1], graphs[1:]]
    told = [logits(2.0, 8.0, parts[0]), logits(3.0, 1.0, parts[1])]
    together = Logits(*(torch.cat(each) for each in zip(*told, strict=True)))
    summed = sum(loss(one, part, whole=graphs).item() for one, part in zip(told, parts, strict=True))
    assert summed == pytest.approx(loss(together, graphs).item())
    # Four atoms, of which one is told at odds of 3; six pairs, all in the first molecule.
    expected = (3 * -math.log(2 / 4) - math.log(3 / 5)) / 4 + 5 * -math.log(8 / 10)
    assert summed == pytest.approx(expected)


def test_a_batch_without_pairs_costs_its_atoms() -> None:
    single = molecules()[1:]
    assert loss(logits(2.0, 8.0, single), single).item() == pytest.approx(-math.log(2 / 4))
