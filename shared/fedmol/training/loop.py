"""The training loop: the same for the centralised baseline and for every site, on a processor and on GPUs.

What a step does is a function of the generator's seed, the global step and the state of model and optimiser alone.
So steps 0-10 in one call equal steps 0-5, a restored state and steps 5-10, byte for byte on one processor.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor, nn

from fedmol.diffusion import Logits, NoiseModel, loss
from fedmol.errors import Exit, FedmolError
from fedmol.execution import EAGER, Execution
from fedmol.ragged import AnyGraphs
from fedmol.training.batches import Batch, batches_of
from fedmol.training.config import TrainingConfig
from fedmol.training.learning_rate import Extension, learning_rate, position
from fedmol.training.optimizers import Optimizers
from fedmol.training.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from fedmol.fl.local_methods import OnGradient

STEPS_IN_FLIGHT = {"cpu": 1, "cuda": 20}  # sent to the device before the host waits for their losses


@dataclass(frozen=True)
class StepReport:
    """The steps since the report before: as many as are in flight on the device."""

    step: int  # global number of the last of them
    loss: float  # their mean
    gradient_norm: float  # before clipping, of the last of them
    learning_rate: float
    molecules: int  # batch sizes added up


@dataclass(frozen=True)
class TrainingReport:
    """All steps of one call."""

    mean_loss: float
    last_loss: float
    molecules: int  # batch sizes added up


def train(
    denoiser: nn.Module,
    optimizer: Optimizers,
    noise: NoiseModel,
    graphs: AnyGraphs,
    *,
    first_step: int,
    steps: int,
    total_steps: int,
    extensions: Sequence[Extension] = (),
    config: TrainingConfig,
    generator: Generator,
    on_step: Callable[[StepReport], None] | None = None,
    on_gradient: OnGradient | None = None,
    ranks: Ranks = ALONE,
    execution: Execution = EAGER,
) -> TrainingReport:
    """Take `steps` gradient steps, the first of which is the global step `first_step` of `total_steps`.

    `extensions` are for a training that was made longer while it went on, see `fedmol.training.learning_rate`.
    Denoiser and graphs are on one device. The properties of the graphs, if they have any, are standardised, and the
    denoiser was built for as many; it is told them, but for those that `config.condition_dropout` drops. Batches,
    times, noise and dropout of a step are drawn from `generator`'s seed and the step's number; calls that must not
    repeat each other's batches differ in one of them. The model is left in training mode. `on_gradient` is given the
    parameters in each step, with the whole batch's gradient before it is clipped. With several `ranks`, every one of
    them makes the same call. However the steps are executed (`Execution.prepare` is the caller's), they are the same
    steps; with a processor and a GPU they are not.

    Raises:
        FedmolError: DIVERGED when the loss or a gradient is not finite; the state is then the last sound one.
        ValueError: bonds look different from their two ends, see `fedmol.ragged.check_symmetric`.
    """
    denoiser.train()
    device = graphs.counts.device
    batches = batches_of(graphs, noise, config.batch_size, ranks, config.condition_dropout)
    outcomes = _Outcomes(config.batch_size, device)
    parameters = list(denoiser.parameters())
    every = STEPS_IN_FLIGHT[device.type]
    if device.type == "cuda":
        optimizer.keep_on_device()

    def work() -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        batch = batches.draw()
        value, norm = _gradients(denoiser, parameters, noise.steps, batch, config.clip_norm, ranks, on_gradient)
        optimizer.step(outcomes.unsound_with(value, norm))
        return value, norm

    take_step = execution.wrap(work, batches.generator)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for step in range(first_step, first_step + steps):
            seed = _step_seed(generator.initial_seed(), step)
            torch.manual_seed(seed + ranks.rank)  # dropout has no generator of its own
            batches.seed(seed)
            rate = learning_rate(position(step, total_steps, extensions), total_steps, config)
            optimizer.set_learning_rate(rate)
            outcomes.add(*take_step())
            if (step + 1) % every == 0 or step + 1 == first_step + steps:
                report = outcomes.report(step, rate)
                if on_step is not None:
                    on_step(report)
    return outcomes.total()


def _gradients(
    denoiser: nn.Module,
    parameters: list[nn.Parameter],
    noise_steps: int,
    batch: Batch,
    clip_norm: float,
    ranks: Ranks,
    on_gradient: OnGradient | None = None,
) -> tuple[Tensor, Tensor]:
    """Gradients of one batch, clipped and ready for the optimiser; the loss and the norm before clipping."""
    total = torch.zeros((), device=batch.clean.counts.device)
    for part in batch.parts:
        noisy, time = part.noisy, (part.times / noise_steps).float()
        logits: Logits = denoiser(noisy.atoms, noisy.bonds, noisy.counts, time, part.conditions)
        value = loss(logits, part.clean, whole=batch.clean)
        torch.autograd.backward(value)
        total = total + value.detach()
    trained = [p for p in parameters if p.grad is not None]
    ranks.add_up([total, *(p.grad for p in trained if p.grad is not None)])
    if on_gradient is not None:
        on_gradient(parameters)
    norm: Tensor = nn.utils.clip_grad_norm_(trained, clip_norm, foreach=True)
    return total, norm


class _Outcomes:
    """Losses and norms of the steps taken, of which the host knows only those that were reported."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self.batch_size, self.unsound = batch_size, torch.zeros((), device=device)
        self.unseen: list[Tensor] = []  # each (2,)
        self.losses: list[float] = []

    def unsound_with(self, value: Tensor, norm: Tensor) -> Tensor:
        """1 on the device as soon as a step was not finite: nothing may be changed any more."""
        sound = torch.stack([value, norm]).isfinite().all().float()
        self.unsound.copy_(torch.maximum(self.unsound, 1 - sound))
        return self.unsound

    def add(self, value: Tensor, norm: Tensor) -> None:
        self.unseen.append(torch.stack([value, norm]))

    def report(self, step: int, rate: float) -> StepReport:
        """Wait for the device; `step` is the last one that was added."""
        seen: list[list[float]] = torch.stack(self.unseen).tolist()
        self.unseen.clear()
        for number, (value, norm) in enumerate(seen, start=step + 1 - len(seen)):
            if not (math.isfinite(value) and math.isfinite(norm)):
                raise _diverged(number, value, norm)
        values = [value for value, _ in seen]
        self.losses += values
        return StepReport(step, sum(values) / len(values), seen[-1][1], rate, len(values) * self.batch_size)

    def total(self) -> TrainingReport:
        if not self.losses:
            return TrainingReport(math.nan, math.nan, 0)
        mean = sum(self.losses) / len(self.losses)
        return TrainingReport(mean, self.losses[-1], len(self.losses) * self.batch_size)


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {step}".encode()).digest()[:7], "big")


def _diverged(step: int, value: float, norm: float) -> FedmolError:
    return FedmolError(
        Exit.DIVERGED,
        f"training diverged at step {step}: loss {value}, gradient norm {norm}",
        "lower training.learning_rate, or raise training.warmup_share",
    )
