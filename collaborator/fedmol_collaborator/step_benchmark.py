"""How fast this machine trains the federation's denoiser."""

from __future__ import annotations

from fedmol.diffusion.census import Census
from fedmol.diffusion.noise_model import NoiseModel
from fedmol.fl.federation import Settings
from fedmol.ragged import AnyGraphs
from fedmol.training import throughput
from fedmol.training.assembly import trainer_of


def seconds_per_step(settings: Settings, graphs: AnyGraphs, census: Census, timed_steps: int) -> float:
    """How long one gradient step takes here, measured over `timed_steps` or more on a denoiser that is thrown away."""
    with trainer_of(settings, NoiseModel.from_census(census), graphs) as trainer:
        return throughput.seconds_per_step(trainer, timed_steps, settings.seed)
