"""Numbers that change when what a model and a seed compute changes: see `fedmol.fl.versions.SEMANTICS`.

All of it is small, on one thread of a processor, in float32: rounding, which may differ, stays far below what a change
of training, loss, noise, optimiser or sampling does.
"""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Generator, Tensor

from fedmol.diffusion import Census, NoiseModel, add_noise, nll, sample
from fedmol.diffusion.posterior import interpolation, mixture_posterior, plug_in_posterior
from fedmol.diffusion.samplers import ANCESTRAL, FEW_STEP
from fedmol.fl.local_methods import Plain
from fedmol.fl.local_methods.fedprox import FedProx
from fedmol.fl.local_methods.scaffold import Scaffold
from fedmol.fl.payload import CONTROL, MODEL
from fedmol.graphs import Graphs
from fedmol.models import Denoiser, build
from fedmol.models.spectrum import spectral_features
from fedmol.training import LocalRound, Trainer, TrainingConfig, build_optimizer, flatten
from fedmol.training.learning_rate import learning_rate, position

RECORDED = Path(__file__).with_name("semantics.json")
TOLERANCE = 1e-4  # relative

_ATOM_TYPES, _BOND_TYPES, _MAX_ATOMS = 4, 4, 6
_STEPS, _ALL_STEPS = 4, 10


def recorded() -> dict[str, float | int]:
    """What was recorded, with the number it was recorded for as `semantics`."""
    numbers: dict[str, float | int] = json.loads(RECORDED.read_text())
    return numbers


def compute() -> dict[str, float]:
    """The numbers as this installation computes them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            patch("fedmol.models.denoiser.bfloat16_pays", lambda device: False),
            patch("fedmol.training.muon.bfloat16_pays", lambda device: False),
            patch("fedmol.models.digress.spectral_features", _without_eigenvectors),
        ):
            return {**_schedules(), **_posteriors(), **_training("small"), **_training("digress"), **_model()}
    finally:
        torch.set_num_threads(threads)


def _without_eigenvectors(adjacency: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where eigenvalues coincide, as in any symmetric graph, the processor's library chooses the vectors."""
    nodes, graphs = spectral_features(adjacency, mask)
    return torch.cat([nodes[..., :1], torch.zeros_like(nodes[..., 1:])], -1), graphs


def differences(expected: dict[str, float | int], found: dict[str, float]) -> list[str]:
    """One phrase for each number that is not the recorded one."""
    return [
        f"{name} is {found.get(name)}, recorded was {expected.get(name)}"
        for name in sorted((expected.keys() | found.keys()) - {"semantics"})
        if name not in found
        or name not in expected
        or abs(found[name] - expected[name]) > TOLERANCE * max(1e-6, abs(expected[name]))
    ]


def _rings_and_chains() -> Graphs:
    """Sixteen graphs of two to six atoms, all different."""
    numbers = Generator().manual_seed(1)
    counts = torch.arange(16) % 5 + 2
    atoms = torch.randint(_ATOM_TYPES, (16, _MAX_ATOMS), generator=numbers)
    bonds = torch.randint(_BOND_TYPES, (16, _MAX_ATOMS, _MAX_ATOMS), generator=numbers).triu(1)
    graphs = Graphs(atoms.to(torch.int8), (bonds + bonds.mT).to(torch.int8), counts)
    return Graphs(graphs.atoms * graphs.atom_mask, graphs.bonds * graphs.pair_mask, counts)


def _noise() -> NoiseModel:
    return NoiseModel.from_census(Census.take(_rings_and_chains(), _ATOM_TYPES, _BOND_TYPES, _MAX_ATOMS))


def _project(values: Tensor) -> float:
    """One number that depends on every value and its place."""
    flat = values.double().flatten()
    return float(flat @ torch.cos(torch.arange(len(flat), dtype=torch.float64)))


def _schedules() -> dict[str, float]:
    config = TrainingConfig()
    noise = _noise()
    return {
        **{f"alphas_bar.{t}": float(noise.alphas_bar[t]) for t in (1, 50, 250, 499)},
        **{f"learning_rate.{step}": learning_rate(step, 100, config) for step in (0, 3, 40, 99)},
        **{f"stretched.{step}": position(step, 100, [(50, 150), (120, 200)]) for step in (50, 70, 150)},
        "few_step_times": _project(torch.tensor(FEW_STEP.times(500))),
        "ancestral_times": _project(torch.tensor(ANCESTRAL.times(500))),
    }


def _posteriors() -> dict[str, float]:
    noise, graphs = _noise(), _rings_and_chains()
    times = torch.tensor([1, 20, 100, 250, 400, 480, 499, 500] * 2)
    noisy = add_noise(graphs, times, noise, Generator().manual_seed(2))
    clean = torch.randn((*noisy.atoms.shape, _ATOM_TYPES), generator=Generator().manual_seed(3)).double().softmax(-1)
    before, now = (noise.alphas_bar[t][:, None].expand(noisy.atoms.shape) for t in (times - 1, times))
    said = clean, noisy.atoms, before, now, noise.atom_marginal
    return {
        "noised_atoms": _project(noisy.atoms),
        "noised_bonds": _project(noisy.bonds),
        "plug_in_posterior": _project(plug_in_posterior(*said)),
        "mixture_posterior": _project(mixture_posterior(*said)),
        "interpolation.0": _project(interpolation(*said, 0.0)),
        "interpolation.1": _project(interpolation(*said, 1.0)),
    }


def _denoiser(preset: str) -> Denoiser:
    return build(preset, _ATOM_TYPES, _BOND_TYPES, _MAX_ATOMS, seed=3, layers=1)


def _training(preset: str) -> dict[str, float]:
    """Some steps with each optimiser and each local method."""
    found: dict[str, float] = {"initial_model." + preset: _project(_weights(_denoiser(preset)))}
    for optimizer in ("muon", "adamw"):
        for method in (Plain(), FedProx(name="fedprox", mu=1.0), Scaffold(name="scaffold")):
            denoiser = _denoiser(preset)
            config = TrainingConfig(optimizer=optimizer, batch_size=8, weight_decay=1e-2)
            before = flatten(denoiser)
            control = np.float32(0.1) * np.cos(np.arange(len(before), dtype=np.float32))
            local = LocalRound(method, {MODEL: before, CONTROL: control}, {CONTROL: control[::-1].copy()})
            with Trainer(denoiser, _noise(), _rings_and_chains(), config) as trainer:
                report = trainer.train(
                    build_optimizer(denoiser, config),
                    first_step=2,
                    steps=_STEPS,
                    total_steps=_ALL_STEPS,
                    generator=Generator().manual_seed(5),
                    local=local,
                )
            move = _weights(denoiser) - torch.from_numpy(before)
            name = ".".join((preset, optimizer, method.name))
            found |= {f"mean_loss.{name}": report.mean_loss, f"last_loss.{name}": report.last_loss}
            found[f"move.{name}"] = float(move.double().norm())
            for section, change in local.end(_STEPS).sections.items():
                found[f"{section}.{name}"] = float(torch.from_numpy(change).double().norm())
    return found


def _model() -> dict[str, float]:
    """Likelihood and samples of an untrained model."""
    denoiser, noise = _denoiser("small"), _noise()
    bound = nll(denoiser, noise, _rings_and_chains(), Generator().manual_seed(7))
    found = {"published": bound.published, "edges_once": bound.edges_once, "sampler": bound.sampler}
    for sampler in (FEW_STEP, ANCESTRAL):
        graphs = sample(denoiser, noise, 4, Generator().manual_seed(8), steps=8, sampler=sampler)
        codes = torch.cat([graphs.atoms.flatten(), graphs.bonds.flatten(), graphs.counts])
        found[f"samples.{sampler.name}"] = _project(codes)
    return {f"model.{name}": value for name, value in found.items()}


def _weights(denoiser: Denoiser) -> Tensor:
    return torch.from_numpy(flatten(denoiser))
