"""A local method's sums, in one process or several, in one go or broken off, and with every optimiser."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from fedmol.diffusion import Census, NoiseModel
from fedmol.fl.local_methods.scaffold import Scaffold
from fedmol.fl.payload import CONTROL, MODEL, Vector
from fedmol.graphs import Graphs
from fedmol.models import Denoiser, build
from fedmol.training import LocalRound, Trainer, TrainingConfig, build_optimizer, flatten, loop, manifest
from fedmol.training.parameter_vector import tensors_of, vector_of

Name = Literal["muon", "adamw"]
STEPS = 6


def _chains() -> Graphs:
    """Unbranched carbon chains of 2 to 5 atoms that end in oxygen."""
    counts = torch.tensor([2, 3, 4, 5])
    atoms, bonds = torch.zeros(4, 5, dtype=torch.int8), torch.zeros(4, 5, 5, dtype=torch.int8)
    for row, n in enumerate(counts.tolist()):
        atoms[row, n - 1] = 2
        for i in range(n - 1):
            bonds[row, i, i + 1] = bonds[row, i + 1, i] = 1
    return Graphs(atoms, bonds, counts)


def _denoiser() -> Denoiser:
    denoiser = build("small", 4, 5, 9, seed=0, layers=1)
    denoiser.exact = True
    return denoiser


def _vectors() -> tuple[Vector, Vector, Vector]:
    """Model, the server's control variate and the site's own."""
    model, numbers = flatten(_denoiser()), np.random.default_rng(0)
    length = np.float32(0.3 / len(model) ** 0.5)
    server, own = (length * numbers.standard_normal(len(model), np.float32) for _ in range(2))
    return model, server, own


def _played(optimizer: Name = "muon", processes: int = 1, *break_offs: int) -> tuple[Vector, Vector]:
    """The model after a round with SCAFFOLD, and the sum of its gradients; broken off after these steps."""
    config, denoiser = TrainingConfig(optimizer=optimizer, batch_size=12), _denoiser()
    model, server, own = _vectors()
    noise = NoiseModel.from_census(Census.take(_chains(), 4, 5, 9))
    sums: dict[str, Vector] = {}
    with Trainer(denoiser, noise, _chains(), config, processes=processes) as trainer:
        state = build_optimizer(denoiser, config)
        for first, last in zip((0, *break_offs), (*break_offs, STEPS), strict=True):
            local = LocalRound(Scaffold(name="scaffold"), {MODEL: model, CONTROL: server}, {CONTROL: own}, sums)
            trainer.train(
                state,
                first_step=first,
                steps=last - first,
                total_steps=2 * STEPS,
                generator=torch.Generator().manual_seed(4),
                local=local,
            )
            sums = local.so_far()
    np.testing.assert_array_equal(local.end(STEPS).kept[CONTROL], sums["gradients"] / np.float32(STEPS))
    np.testing.assert_array_equal(local.end(STEPS).sections[CONTROL], sums["gradients"] / np.float32(STEPS) - own)
    return flatten(denoiser), sums["gradients"]


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_the_sum_is_of_gradients_before_correction_and_clipping(
    optimizer: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step by hand: the raw gradient is noted where the batch's is complete, and what is clipped is corrected."""
    raw: list[list[torch.Tensor]] = []
    clipped: list[list[torch.Tensor]] = []
    real = nn.utils.clip_grad_norm_

    def clip(parameters: list[nn.Parameter], *rest: Any, **named: Any) -> torch.Tensor:
        clipped.append([p.grad.clone() for p in parameters if p.grad is not None])
        return real(parameters, *rest, **named)

    def noting(self: Scaffold, *given: Any) -> Any:
        correct = before_round(self, *given)
        assert correct is not None

        def note(parameters: list[nn.Parameter]) -> None:
            raw.append([p.grad.clone() for p in parameters if p.grad is not None])
            correct(parameters)

        return note

    before_round = Scaffold.before_round
    monkeypatch.setattr(Scaffold, "before_round", noting)
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clip)
    _, found = _played(optimizer)
    denoiser, (_, server, own) = _denoiser(), _vectors()
    names = [name for name, _ in denoiser.named_parameters()]
    total = vector_of(
        {n: torch.stack(t).sum(0) for n, t in zip(names, zip(*raw, strict=True), strict=True)}, manifest(denoiser)
    )
    np.testing.assert_allclose(found, total, rtol=1e-4, atol=1e-6)
    correction = tensors_of(server - own, manifest(denoiser))
    for before, after in zip(raw, clipped, strict=True):
        for name, one, other in zip(names, before, after, strict=True):
            torch.testing.assert_close(other, one + correction[name])


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_round_that_was_broken_off_adds_up_to_the_same_bytes(optimizer: Name) -> None:
    model, sums = _played(optimizer)
    for break_offs in ((1,), (2, 5)):
        again, added = _played(optimizer, 1, *break_offs)
        assert again.tobytes() == model.tobytes()
        assert added.tobytes() == sums.tobytes()


def test_two_processes_have_the_sum_of_one() -> None:
    model, sums = _played("adamw")
    together, added = _played("adamw", 2, 3)
    np.testing.assert_allclose(together, model, rtol=0, atol=1e-3)
    assert np.linalg.norm(added - sums) < 1e-3 * np.linalg.norm(sums)


def test_steps_that_are_sent_ahead_add_up_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sums = _played()
    monkeypatch.setitem(loop.STEPS_IN_FLIGHT, "cpu", 4)
    again, added = _played()
    assert (again.tobytes(), added.tobytes()) == (model.tobytes(), sums.tobytes())


def test_what_adds_up_stays_in_its_place() -> None:
    """As a captured CUDA graph needs it, which does the same work on the same memory in every step."""
    model, server, own = _vectors()
    local = LocalRound(Scaffold(name="scaffold"), {MODEL: model, CONTROL: server}, {CONTROL: own})
    denoiser = _denoiser()
    correct = local.begin(denoiser)
    assert correct is not None
    places = [tensor.data_ptr() for tensor in local._live["gradients"]]
    for parameter in denoiser.parameters():
        parameter.grad = torch.empty_like(parameter)
    for _ in range(3):
        for parameter in denoiser.parameters():
            assert parameter.grad is not None
            parameter.grad.fill_(2.0)
        correct(list(denoiser.parameters()))
    assert [tensor.data_ptr() for tensor in local._live["gradients"]] == places
    assert all((total == 6.0).all() for total in local._live["gradients"])
