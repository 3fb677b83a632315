from __future__ import annotations

import pytest
import torch

from fedmol.diffusion import Logits, loss
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs
from fedmol.models import PRESETS, Denoiser, build

SIZES = {"atom_types": 4, "bond_types": 5, "max_atoms": 9}


def noisy_graphs(counts: list[int], seed: int = 0, density: float = 0.25) -> Graphs:
    generator = torch.Generator().manual_seed(seed)
    batch, n = len(counts), max(counts)
    bonds = torch.randint(1, 5, (batch, n, n), generator=generator)
    bonds = (bonds * (torch.rand(batch, n, n, generator=generator) < density)).triu(1)
    empty = Graphs(torch.randint(4, (batch, n), generator=generator), bonds + bonds.mT, torch.tensor(counts))
    return Graphs(empty.atoms * empty.atom_mask, empty.bonds * empty.pair_mask, empty.counts)


def exact(preset: str, seed: int = 0) -> Denoiser:
    denoiser = build(preset, **SIZES, seed=seed, layers=2).eval()
    denoiser.exact = True
    return denoiser


def test_reference_has_the_references_parameters() -> None:
    assert sum(p.numel() for p in build("digress", **SIZES, seed=0).parameters()) == 8_163_721


@pytest.mark.parametrize("preset", PRESETS)
def test_logits_are_symmetric_and_empty_outside_the_graph(preset: str) -> None:
    graphs = noisy_graphs([9, 8, 5, 2, 1])
    logits = build(preset, **SIZES, seed=0, layers=2).eval()(*parts(graphs))
    assert logits.atoms.dtype == logits.bonds.dtype == torch.float32
    assert torch.isfinite(logits.atoms).all()
    assert torch.isfinite(logits.bonds).all()
    assert (logits.bonds == logits.bonds.transpose(1, 2)).all()
    assert (logits.atoms[~graphs.atom_mask] == 0).all()
    assert (logits.bonds[~graphs.pair_mask] == 0).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_relabelling_atoms_relabels_the_logits(preset: str) -> None:
    denoiser = exact(preset)
    graphs = noisy_graphs([9] * 8)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    turned = Graphs(graphs.atoms[:, order], graphs.bonds[:, order][:, :, order], graphs.counts)
    expected, found = denoiser(*parts(graphs)), denoiser(*parts(turned))
    same = spectrum_is_simple(graphs) if preset == "digress" else torch.ones(8, dtype=torch.bool)
    assert same.sum() >= 3
    torch.testing.assert_close(found.atoms[same], expected.atoms[:, order][same], atol=2e-4, rtol=0)
    torch.testing.assert_close(found.bonds[same], expected.bonds[:, order][:, :, order][same], atol=2e-4, rtol=0)


def spectrum_is_simple(graphs: Graphs) -> torch.Tensor:
    """Where no Laplacian eigenvalue is double: elsewhere the reference's eigenvectors are not defined by the graph."""
    adjacency = (graphs.bonds > 0).float()
    values = torch.linalg.eigvalsh(torch.diag_embed(adjacency.sum(-1)) - adjacency)
    simple: torch.Tensor = (values.diff(dim=-1) > 1e-3).all(-1)
    return simple


@pytest.mark.parametrize("preset", PRESETS)
def test_a_graphs_logits_do_not_depend_on_its_batch(preset: str) -> None:
    denoiser = exact(preset)
    graphs = noisy_graphs([9, 6, 4, 3, 1])
    together = denoiser(*parts(graphs))
    for index, n in enumerate(graphs.counts.tolist()):
        alone = denoiser(*parts(graphs[index : index + 1].trimmed(), first_time=index))
        torch.testing.assert_close(alone.atoms[0], together.atoms[index, :n], atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.bonds[0], together.bonds[index, :n, :n], atol=1e-4, rtol=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_noisy_graph_and_the_time_matter(preset: str) -> None:
    denoiser = exact(preset)
    graphs = noisy_graphs([9])
    atoms, bonds, counts, time = parts(graphs)
    base = denoiser(atoms, bonds, counts, time).atoms
    assert not torch.allclose(base, denoiser(atoms, bonds, counts, time + 0.4).atoms, atol=1e-4)
    assert not torch.allclose(base, denoiser(atoms, bonds * 0, counts, time).atoms, atol=1e-4)


@pytest.mark.parametrize("preset", ["digress", "small"])
def test_bfloat16_stays_close_to_float32(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits to 0.05, where they spread over more than 1; the gradient of the loss to a twentieth of its length."""
    monkeypatch.setattr("fedmol.models.denoiser.bfloat16_pays", lambda device: True)  # also where it does not
    denoiser = exact(preset)
    graphs, clean = noisy_graphs([9, 9, 7, 4, 2, 1]), noisy_graphs([9, 9, 7, 4, 2, 1], seed=7)
    full, slope = logits_and_gradient(denoiser, graphs, clean)
    denoiser.exact = False
    low, low_slope = logits_and_gradient(denoiser, graphs, clean)
    assert full.bonds.max() - full.bonds.min() > 1
    assert not torch.equal(low.bonds, full.bonds)
    torch.testing.assert_close(low, full, atol=0.05, rtol=0)
    assert (low_slope - slope).norm() < 0.05 * slope.norm()


def logits_and_gradient(denoiser: Denoiser, graphs: Graphs, clean: Graphs) -> tuple[Logits, torch.Tensor]:
    denoiser.zero_grad()
    logits = denoiser(*parts(graphs))
    torch.autograd.backward(loss(logits, clean))
    slopes = [p.grad.flatten() for p in denoiser.parameters() if p.grad is not None]
    return Logits(logits.atoms.detach(), logits.bonds.detach()), torch.cat(slopes)


@pytest.mark.parametrize("preset", PRESETS)
def test_equal_seeds_give_equal_weights(preset: str) -> None:
    torch.manual_seed(1)
    first = build(preset, **SIZES, seed=3, layers=1).state_dict()
    torch.manual_seed(2)
    second = build(preset, **SIZES, seed=3, layers=1).state_dict()
    other = build(preset, **SIZES, seed=4, layers=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("preset", PRESETS)
def test_state_is_float_parameters_only(preset: str) -> None:
    denoiser = build(preset, **SIZES, seed=0, layers=1)
    assert set(denoiser.state_dict()) == {name for name, _ in denoiser.named_parameters()}
    assert all(tensor.dtype == torch.float32 and tensor.numel() > 0 for tensor in denoiser.state_dict().values())


@pytest.mark.parametrize(("preset", "layers"), [("huge", None), ("small", 0)])
def test_wrong_settings_are_refused(preset: str, layers: int | None) -> None:
    with pytest.raises(FedmolError) as refused:
        build(preset, **SIZES, seed=0, layers=layers)
    assert refused.value.exit is Exit.BAD_SETTINGS


def parts(graphs: Graphs, first_time: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    time = (torch.arange(len(graphs)) + first_time) / 20
    return graphs.atoms, graphs.bonds, graphs.counts, time
