"""How fast this machine trains the federation's denoiser."""

from __future__ import annotations

import time

import torch

from fedmol.diffusion.census import Census, NoiseModel
from fedmol.federation.assembly import team_of
from fedmol.federation.settings import Settings
from fedmol.graphs import Graphs
from fedmol.training.optimizers import build_optimizer

_WARM_STEPS = 2  # the first ones are slower


def seconds_per_step(settings: Settings, graphs: Graphs, census: Census, timed_steps: int) -> float:
    """How long one gradient step takes here, measured on a denoiser that is thrown away."""
    with team_of(settings, NoiseModel.from_census(census), graphs) as team:
        optimizer = build_optimizer(team.denoiser, team.config)
        generator, total = torch.Generator().manual_seed(settings.seed), _WARM_STEPS + timed_steps
        team.train(optimizer, first_step=0, steps=_WARM_STEPS, total_steps=total, generator=generator)
        began = time.monotonic()
        team.train(optimizer, first_step=_WARM_STEPS, steps=timed_steps, total_steps=total, generator=generator)
        return (time.monotonic() - began) / timed_steps
