from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.fl.local_methods.fedprox import FedProx
from fedmol.fl.payload import MODEL
from fedmol.graphs import Graphs
from fedmol.models import build
from fedmol.training import LocalRound, StepReport, Trainer, TrainingConfig, build_optimizer, flatten, optimizer_tensors

CONFIG = TrainingConfig(optimizer="adamw", batch_size=15)


def rings() -> Graphs:
    """Rings of 3 to 8 carbons with an oxygen."""
    counts = torch.arange(3, 9)
    atoms, bonds = torch.zeros(6, 8, dtype=torch.int8), torch.zeros(6, 8, 8, dtype=torch.int8)
    atoms[:, 0] = 2
    for row, n in enumerate(counts.tolist()):
        for i in range(n):
            bonds[row, i, (i + 1) % n] = bonds[row, (i + 1) % n, i] = 1
    return Graphs(atoms, bonds, counts)


def trainer(processes: int, layers: int = 1) -> Trainer:
    denoiser = build("small", 4, 5, 9, seed=0, layers=layers)
    denoiser.exact = True
    noise = NoiseModel.from_census(Census.take(rings(), 4, 5, 9))
    return Trainer(denoiser, noise, rings(), CONFIG, processes=processes)


def test_two_processes_train_as_one_does() -> None:
    losses: list[list[float]] = []
    states = []
    for processes in (1, 2):
        reports: list[StepReport] = []
        generator = torch.Generator().manual_seed(4)
        with trainer(processes) as both:
            optimizer = build_optimizer(both.denoiser, CONFIG)
            for first in (0, 5):
                both.train(
                    optimizer, first_step=first, steps=5, total_steps=10, generator=generator, on_step=reports.append
                )
        losses.append([report.loss for report in reports])
        states.append((flatten(both.denoiser), optimizer_tensors(optimizer)["0.0.exp_avg"]))
    assert len(losses[0]) == 10
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert abs(states[0][0] - states[1][0]).max() < 1e-3
    assert torch.allclose(states[0][1], states[1][1], rtol=1e-2, atol=1e-5)


def test_every_process_is_held_to_the_model_that_the_round_started_from() -> None:
    """A round that goes on in its middle is pulled back to its start, not to where it goes on."""
    models = {}
    for processes in (1, 2):
        with trainer(processes) as pulled:
            optimizer, start = build_optimizer(pulled.denoiser, CONFIG), flatten(pulled.denoiser)
            generator = torch.Generator().manual_seed(4)
            for first in (0, 5):
                local = LocalRound(FedProx(name="fedprox", mu=100), {MODEL: start})
                pulled.train(optimizer, first_step=first, steps=5, total_steps=10, generator=generator, local=local)
            models[processes] = flatten(pulled.denoiser)
    with trainer(1) as free:
        optimizer = build_optimizer(free.denoiser, CONFIG)
        free.train(optimizer, first_step=0, steps=10, total_steps=10, generator=torch.Generator().manual_seed(4))
        moved = np.linalg.norm(flatten(free.denoiser) - start)
    assert np.abs(models[1] - models[2]).max() < 1e-3
    assert np.linalg.norm(models[1] - start) < 0.8 * moved


def test_a_killed_worker_is_said() -> None:
    with trainer(2) as both:
        optimizer = build_optimizer(both.denoiser, CONFIG)

        def kill(report: StepReport) -> None:
            if report.step == 2:
                os.kill(both._workers[0].pid or 0, signal.SIGKILL)

        generator = torch.Generator().manual_seed(0)
        with pytest.raises(FedmolError) as refused:
            both.train(optimizer, first_step=0, steps=1000, total_steps=1000, generator=generator, on_step=kill)
    assert refused.value.exit is Exit.PROCESS_LOST
    assert "worker 1 (exit code -9)" in refused.value.message
    assert not any(worker.is_alive() for worker in both._workers)


def test_a_batch_is_not_divided_between_more_processes_than_molecules() -> None:
    with pytest.raises(FedmolError) as refused:
        trainer(16)
    assert refused.value.exit is Exit.BAD_SETTINGS
