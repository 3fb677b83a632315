"""How fast this machine trains the federation's denoiser."""

from __future__ import annotations

import time

import torch

from fedmol.diffusion.census import Census
from fedmol.diffusion.noise_model import NoiseModel
from fedmol.fl.federation import Settings
from fedmol.ragged import AnyGraphs
from fedmol.training.assembly import trainer_of
from fedmol.training.loop import STEPS_IN_FLIGHT, StepReport
from fedmol.training.optimizers import build_optimizer

_WARM_STEPS = 2  # the first ones are slower, and those before the first report of a GPU


def seconds_per_step(settings: Settings, graphs: AnyGraphs, census: Census, timed_steps: int) -> float:
    """How long one gradient step takes here, measured over `timed_steps` or more on a denoiser that is thrown away."""
    with trainer_of(settings, NoiseModel.from_census(census), graphs) as trainer:
        in_flight = STEPS_IN_FLIGHT[trainer.device.type]
        warm, timed = max(_WARM_STEPS, in_flight), max(timed_steps, in_flight)
        ends: dict[int, float] = {}  # when each report came, by the steps taken before it

        def note(report: StepReport) -> None:
            ends[report.step + 1] = time.monotonic()

        trainer.train(
            build_optimizer(trainer.denoiser, trainer.config),
            first_step=0,
            steps=warm + timed,
            total_steps=warm + timed,
            generator=torch.Generator().manual_seed(settings.seed),
            on_step=note,
        )
        return (ends[warm + timed] - ends[warm]) / timed
