from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from fedmol.training import Optimizers, flatten, load_optimizer_tensors, optimizer_tensors
from fedmol.training.muon import Muon, orthogonal
from fedmol.training.sealed_tensors import load, save

SOUND, UNSOUND = torch.tensor(0.0), torch.tensor(1.0)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 20))


def muon_and_adamw(module: nn.Module) -> Optimizers:
    matrices = [p for p in module.parameters() if p.ndim == 2]
    others = [{"params": [p for p in module.parameters() if p.ndim < 2], "share": 0.5}]
    return Optimizers(Muon(matrices, weight_decay=0.1), AdamW(others, fused=True))


def advance(module: nn.Module, optimizer: Optimizers, first: int, steps: int) -> None:
    for step in range(first, first + steps):
        inputs = torch.rand(8, 12, generator=torch.Generator().manual_seed(step))
        optimizer.set_learning_rate(0.01)
        optimizer.zero_grad()
        module(inputs).square().mean().backward()
        optimizer.step(SOUND)


def test_two_optimisers_saved_half_way_go_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole = network()
    advance(whole, muon_and_adamw(whole), 0, 10)

    half = network()
    optimizer = muon_and_adamw(half)
    advance(half, optimizer, 0, 5)
    save(tmp_path / "half", optimizer_tensors(optimizer), {})

    optimizer = muon_and_adamw(half)
    load_optimizer_tensors(optimizer, load(tmp_path / "half")[0])
    advance(half, optimizer, 5, 5)
    assert flatten(half).tobytes() == flatten(whole).tobytes()


def test_groups_take_their_share_of_the_learning_rate() -> None:
    optimizer = muon_and_adamw(network())
    optimizer.set_learning_rate(0.3)
    assert [part.param_groups[0]["lr"] for part in optimizer.parts] == [0.3, 0.15]


def test_an_unsound_step_changes_neither_weights_nor_state() -> None:
    module = network()
    optimizer = muon_and_adamw(module)
    advance(module, optimizer, 0, 2)
    weights, state = flatten(module), {name: value.clone() for name, value in optimizer_tensors(optimizer).items()}
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    optimizer.step(UNSOUND)
    assert flatten(module).tobytes() == weights.tobytes()
    assert all(torch.equal(value, state[name]) for name, value in optimizer_tensors(optimizer).items())
    advance(module, optimizer, 2, 1)
    assert flatten(module).tobytes() != weights.tobytes()


@pytest.mark.parametrize("iterations", [3, 5])
def test_muon_is_that_of_torch(iterations: int) -> None:
    own, theirs, start = network(), network(), flatten(network())
    matrices = [[p for p in module.parameters() if p.ndim == 2] for module in (own, theirs)]
    one = Muon(matrices[0], lr=0.01, weight_decay=0.1, iterations=iterations)
    other = torch.optim.Muon(
        matrices[1], lr=0.01, weight_decay=0.1, ns_steps=iterations, adjust_lr_fn="match_rms_adamw"
    )
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for mine, its in zip(*matrices, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            its.grad = mine.grad.clone()
        one.step()
        Optimizers(other).step(SOUND)
    difference, moved = (torch.from_numpy(flatten(own) - vector).norm() for vector in (flatten(theirs), start))
    assert difference < 0.03 * moved  # torch's works in bfloat16


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8), (1, 8, 8)])
def test_orthogonal_drives_singular_values_towards_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    near = orthogonal(list(matrices), iterations=6)
    values = torch.linalg.svdvals(near)
    assert values.min() > 0.5
    assert values.max() < 1.25
    aligned = (near * (u @ v)).sum((1, 2)) / (near.norm(dim=(1, 2)) * (u @ v).norm(dim=(1, 2)))
    assert aligned.min() > 0.95
    assert torch.allclose(orthogonal(list(matrices), iterations=6, scale=0.5), near / 2)
