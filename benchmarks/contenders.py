"""Those who run against each other: the plain baseline, and every preset with fedmol's own training and sampling."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from benchmarks import plain_training as plain
from benchmarks.plain import PlainDenoiser
from benchmarks.stock import ATOM_TYPES, BOND_TYPES, MAX_ATOMS
from fedmol.diffusion import NoiseModel, sample
from fedmol.diffusion.samplers import ANCESTRAL
from fedmol.graphs import Graphs
from fedmol.models import PRESETS, build
from fedmol.training import TrainingConfig, build_optimizer, train

BASELINE = "plain"
NAMES = (BASELINE, *PRESETS)


class Contender(Protocol):
    """A model with its optimiser, ready to run."""

    @property
    def denoiser(self) -> nn.Module: ...

    def train(self, steps: int) -> None:
        """Take `steps` more training steps."""

    def sample_steps(self, molecules: int, steps: int) -> None:
        """Do about `steps` of the reverse steps that make so many molecules out of noise."""


class Plain:
    """The baseline: plain network, plain training, plain sampling."""

    def __init__(self, graphs: Graphs, noise: NoiseModel, batch: int, device: torch.device) -> None:
        self.noise, self.batch, self.device = noise.to(device), batch, device
        self.denoiser = PlainDenoiser(ATOM_TYPES, BOND_TYPES, MAX_ATOMS).to(device)
        self.optimizer = plain.build_optimizer(self.denoiser)
        self.molecules = cycle(plain.molecules(graphs, ATOM_TYPES, BOND_TYPES))

    def train(self, steps: int) -> None:
        self.denoiser.train()
        for _ in range(steps):
            clean = plain.collate(list(islice(self.molecules, self.batch))).to(self.device)
            plain.train_step(self.denoiser, self.optimizer, self.noise, clean)

    def sample_steps(self, molecules: int, steps: int) -> None:
        times = range(self.noise.steps, self.noise.steps - steps, -1)
        plain.sample(self.denoiser, self.noise, _counts(self.noise, molecules), times)


class Preset:
    """A preset of fedmol as `fedmol train` trains it and `fedmol sample` samples from it."""

    def __init__(
        self, name: str, graphs: Graphs, noise: NoiseModel, batch: int, device: torch.device, total_steps: int = 10_000
    ) -> None:
        self.graphs, self.noise, self.total_steps = graphs.to(device), noise.to(device), total_steps
        self.denoiser = build(name, ATOM_TYPES, BOND_TYPES, MAX_ATOMS, seed=0).to(device)
        self.config = TrainingConfig(batch_size=batch)
        self.optimizer = build_optimizer(self.denoiser, self.config)
        self.generator = Generator(device=device).manual_seed(0)
        self.done = 0

    def train(self, steps: int) -> None:
        train(
            self.denoiser,
            self.optimizer,
            self.noise,
            self.graphs,
            first_step=self.done,
            steps=steps,
            total_steps=self.total_steps,
            config=self.config,
            generator=self.generator,
        )
        self.done += steps

    def sample_steps(self, molecules: int, steps: int) -> None:
        sample(self.denoiser, self.noise, molecules, self.generator, steps, molecules, sampler=ANCESTRAL)

    def sample_default(self, molecules: int) -> None:
        """Molecules as `fedmol sample` makes them when nothing else is asked for."""
        sample(self.denoiser, self.noise, molecules, self.generator)


def contender(name: str, graphs: Graphs, noise: NoiseModel, batch: int, device: torch.device) -> Plain | Preset:
    """The one of `NAMES`."""
    if name == BASELINE:
        return Plain(graphs, noise, batch, device)
    return Preset(name, graphs, noise, batch, device)


def _counts(noise: NoiseModel, molecules: int) -> Tensor:
    return noise.size_distribution.multinomial(molecules, replacement=True)
