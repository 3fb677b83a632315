"""The baseline of the benchmarks computes what preset `digress` computes, though neither knows the other's code."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks import plain_training as plain
from benchmarks.plain import PlainDenoiser, pool, pool_masked
from fedmol.diffusion import Census, NoiseModel
from fedmol.diffusion import loss as fedmol_loss
from fedmol.diffusion.posterior import mixture_posterior
from fedmol.graphs import Graphs
from fedmol.models import build

SIZES = (4, 5, 9)  # atom types, bond types, largest molecule


def random_graphs(batch: int, seed: int, density: float = 0.3) -> Graphs:
    """Graphs of 1 to 9 atoms with random bonds, connected or not."""
    generator = torch.Generator().manual_seed(seed)
    bonds = torch.randint(1, 5, (batch, 9, 9), generator=generator)
    bonds = (bonds * (torch.rand(batch, 9, 9, generator=generator) < density)).triu(1)
    counts = torch.randint(1, 10, (batch,), generator=generator)
    counts[0] = 9
    full = Graphs(torch.randint(4, (batch, 9), generator=generator), bonds + bonds.mT, counts)
    return Graphs(full.atoms * full.atom_mask, full.bonds * full.pair_mask, counts)


def eigenvectors_are_defined(graphs: Graphs) -> Tensor:
    """Where the non-trivial eigenvalues are simple, and the sums of cubes that give the signs not zero."""
    defined = []
    for bonds, n in zip(graphs.bonds, graphs.counts.tolist(), strict=True):
        adjacency = (bonds[:n, :n] > 0).double()
        values, vectors = torch.linalg.eigh(torch.diag(adjacency.sum(-1)) - adjacency)
        used = vectors[:, values > 1e-5][:, :2]
        gaps = values[values > 1e-5].diff()[:2]
        defined.append(bool((gaps > 1e-3).all() and (used.pow(3).sum(0).abs() > 1e-3).all()))
    return torch.tensor(defined)


def with_the_same_weights(masked_pooling: bool) -> tuple[PlainDenoiser, torch.nn.Module]:
    """Weights are drawn larger than a fresh network's, so that every part of it tells in the logits."""
    preset = build("digress", *SIZES, seed=0).eval()
    preset.exact = True
    with torch.no_grad():
        for parameter in preset.parameters():
            parameter.mul_(1.5)
    denoiser = PlainDenoiser(*SIZES, masked_pooling=masked_pooling).eval()
    denoiser.load_state_dict(preset.state_dict())
    return denoiser, preset


def test_the_plain_network_has_the_references_parameters() -> None:
    assert sum(p.numel() for p in PlainDenoiser(*SIZES).parameters()) == 8_163_721


def test_plain_and_preset_digress_agree() -> None:
    denoiser, preset = with_the_same_weights(masked_pooling=True)
    graphs = random_graphs(40, seed=0)
    time = torch.linspace(0, 1, 40)
    with torch.no_grad():
        expected = preset(graphs.atoms, graphs.bonds, graphs.counts, time)
        found = denoiser(graphs.atoms, graphs.bonds, graphs.counts, time)
    same = eigenvectors_are_defined(graphs)
    assert same.sum() >= 12
    torch.testing.assert_close(found.atoms[same], expected.atoms[same], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.bonds[same], expected.bonds[same], atol=1e-4, rtol=1e-4)


def test_only_pooling_tells_the_baseline_from_the_preset() -> None:
    """As the reference has it, empty slots and the diagonal change the prediction."""
    denoiser, preset = with_the_same_weights(masked_pooling=False)
    graphs = random_graphs(8, seed=1)
    time = torch.full((8,), 0.5)
    with torch.no_grad():
        expected = preset(graphs.atoms, graphs.bonds, graphs.counts, time).bonds
        found = denoiser(graphs.atoms, graphs.bonds, graphs.counts, time).bonds
    assert (found - expected).abs().max() > 1e-2


def test_masked_pooling_of_a_full_graph_is_the_references() -> None:
    rows = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    full = torch.ones(3, 5, dtype=torch.bool)
    torch.testing.assert_close(pool_masked(rows, full), pool(rows))


def test_collating_molecules_gives_the_dense_batch() -> None:
    graphs = random_graphs(12, seed=2)
    dense = plain.collate(plain.molecules(graphs, 4, 5))
    assert (dense.x.argmax(-1) == graphs.atoms).all()
    assert (dense.e.argmax(-1) == graphs.bonds).all()
    assert (dense.x.sum(-1) == graphs.atom_mask).all()
    assert (dense.e.sum(-1) == graphs.pair_mask).all()


def test_plain_loss_is_the_trainings_loss() -> None:
    graphs = random_graphs(6, seed=3)
    denoiser = PlainDenoiser(*SIZES, layers=1).eval()
    logits = denoiser(graphs.atoms, graphs.bonds, graphs.counts, torch.rand(6))
    found = plain.loss(logits, plain.collate(plain.molecules(graphs, 4, 5)))
    torch.testing.assert_close(found, fedmol_loss(logits, graphs))


@pytest.mark.parametrize("t", [1, 250, 500])
def test_plain_reverse_step_is_the_mixture_posterior(t: int) -> None:
    graphs = random_graphs(8, seed=4)
    noise = NoiseModel.from_census(Census.take(graphs, *SIZES))
    logits = torch.randn(8, 9, 4, generator=torch.Generator().manual_seed(t))
    found = plain.reverse(logits, graphs.atoms, t, noise, noise.atom_marginal)
    kept = noise.alphas_bar.float()
    expected = mixture_posterior(logits.softmax(-1), graphs.atoms, kept[t - 1], kept[t], noise.atom_marginal.float())
    torch.testing.assert_close(found / found.sum(-1, keepdim=True), expected, atol=1e-5, rtol=1e-4)


def test_noise_leaves_the_clean_graph_at_time_0_and_the_marginals_at_the_end() -> None:
    graphs = random_graphs(400, seed=5)
    noise = NoiseModel.from_census(Census.take(graphs, *SIZES))
    clean = plain.collate(plain.molecules(graphs, 4, 5))
    torch.manual_seed(0)
    atoms, bonds = plain.add_noise(clean, torch.ones(400), noise)
    assert (atoms == graphs.atoms).all()
    assert (bonds == graphs.bonds).all()
    atoms, bonds = plain.add_noise(clean, torch.zeros(400), noise)
    share = bonds[graphs.pair_mask].bincount(minlength=5) / graphs.pair_mask.sum()
    torch.testing.assert_close(share.double(), noise.bond_marginal, atol=0.02, rtol=0)
    assert (bonds == bonds.mT).all()
    assert (bonds[~graphs.pair_mask] == 0).all()


def test_a_plain_step_trains_and_a_plain_sample_is_a_graph() -> None:
    graphs = random_graphs(8, seed=6)
    noise = NoiseModel.from_census(Census.take(graphs, *SIZES))
    denoiser = PlainDenoiser(*SIZES, layers=1)
    optimizer = plain.build_optimizer(denoiser)
    weight = denoiser.get_parameter("pairs_in.0.weight")
    before = weight.detach().clone()
    torch.manual_seed(0)
    value = plain.train_step(denoiser, optimizer, noise, plain.collate(plain.molecules(graphs, 4, 5)))
    assert value > 0
    assert not torch.equal(before, weight)
    made = plain.sample(denoiser, noise, graphs.counts, range(500, 496, -1))
    assert (made.bonds == made.bonds.mT).all()
    assert (made.atoms[~made.atom_mask] == 0).all()
    assert (made.bonds[~made.pair_mask] == 0).all()
