"""The training loop: the same for the centralised baseline and for every site.

What a step does is a function of the generator's seed, the global step and the state of model and optimiser alone.
So steps 0-10 in one call equal steps 0-5, a restored state and steps 5-10, byte for byte on one machine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from fedmol.diffusion import Logits, NoiseModel, add_noise, loss, stratified_times
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs
from fedmol.training.config import TrainingConfig
from fedmol.training.optimizers import Optimizers


@dataclass(frozen=True)
class StepReport:
    """One step done: its global number, loss, gradient norm before clipping, and learning rate."""

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    molecules: int  # in this step's batch


@dataclass(frozen=True)
class TrainingReport:
    """All steps of one call."""

    mean_loss: float
    last_loss: float
    molecules: int  # batch sizes added up


def learning_rate(step: int, total_steps: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine to 0 at `total_steps`."""
    warmup = max(1, round(config.warmup_share * total_steps))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def train(
    denoiser: nn.Module,
    optimizer: Optimizers,
    noise: NoiseModel,
    graphs: Graphs,
    *,
    first_step: int,
    steps: int,
    total_steps: int,
    config: TrainingConfig,
    generator: Generator,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainingReport:
    """Take `steps` gradient steps, the first of which is the global step `first_step` of `total_steps`.

    Batches, times, noise and dropout of a step are drawn from `generator`'s seed and the step's number; calls that
    must not repeat each other's batches differ in one of them. The model is left in training mode.

    Raises:
        FedmolError: DIVERGED when the loss or a gradient is not finite; the state is then the last sound one.
    """
    denoiser.train()
    seed = generator.initial_seed()
    losses: list[float] = []
    with torch.random.fork_rng(devices=[]):
        for step in range(first_step, first_step + steps):
            draws = Generator(device=graphs.counts.device).manual_seed(_step_seed(seed, step))
            torch.manual_seed(draws.initial_seed())  # dropout has no generator of its own
            rate = learning_rate(step, total_steps, config)
            optimizer.set_learning_rate(rate)
            value, norm = _step(denoiser, optimizer, noise, graphs, config, draws)
            if not (math.isfinite(value) and math.isfinite(norm)):
                raise _diverged(step, value, norm)
            optimizer.step(torch.zeros((), device=graphs.counts.device))
            losses.append(value)
            if on_step is not None:
                on_step(StepReport(step, value, norm, rate, config.batch_size))
    return TrainingReport(
        sum(losses) / len(losses) if losses else math.nan,
        losses[-1] if losses else math.nan,
        len(losses) * config.batch_size,
    )


def _step(
    denoiser: nn.Module,
    optimizer: Optimizers,
    noise: NoiseModel,
    graphs: Graphs,
    config: TrainingConfig,
    generator: Generator,
) -> tuple[float, float]:
    """Gradients of one batch, clipped and ready for the optimiser; the loss and the norm before clipping."""
    device = graphs.counts.device
    chosen = torch.randint(len(graphs), (config.batch_size,), generator=generator, device=device)
    clean = graphs[chosen].trimmed()
    times = stratified_times(config.batch_size, 0, noise.steps, generator, device)
    noisy = add_noise(clean, times, noise, generator)
    optimizer.zero_grad()
    logits: Logits = denoiser(noisy.atoms, noisy.bonds, noisy.counts, (times / noise.steps).float())
    value = loss(logits, clean)
    torch.autograd.backward(value)
    norm: Tensor = nn.utils.clip_grad_norm_(denoiser.parameters(), config.clip_norm, foreach=True)
    return float(value.detach()), float(norm)


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {step}".encode()).digest()[:7], "big")


def _diverged(step: int, value: float, norm: float) -> FedmolError:
    return FedmolError(
        Exit.DIVERGED,
        f"training diverged at step {step}: loss {value}, gradient norm {norm}",
        "lower training.learning_rate, or raise training.warmup_share",
    )
