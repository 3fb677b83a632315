"""Five minutes of training on QM9 with the best setting that was measured, then its NLL and ten thousand molecules."""

from __future__ import annotations

import time
from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any

import torch

from benchmarks.gpu.context import Context
from benchmarks.gpu.molecules import save_graphs
from benchmarks.gpu.record import Entry, entries
from fedmol.chem import vocabulary as vocabularies
from fedmol.diffusion import Likelihood, nll, sample
from fedmol.diffusion.samplers import ANCESTRAL, FEW_STEP, Sampler
from fedmol.execution import NAMES
from fedmol.graphs import Graphs
from fedmol.models import Denoiser
from fedmol.training import TrainingConfig, build_optimizer, save_model

FILE = "samples.safetensors"
MODEL = "model.safetensors"
# Beyond about so many molecules a larger batch saves few steps, see `choice`. The noise of the gradient, measured on a
# processor, was 50 molecules after 300 steps and 150 with the model that ships; twice that, for a longer training.
USEFUL_BATCH = 300
_AFTERWARDS = 20.0  # seconds for the NLL and the samples
_BLOCKS = 32  # of the test molecules, for the interval of the NLL
_SAMPLERS: tuple[tuple[Sampler, int], ...] = ((FEW_STEP, 25), (FEW_STEP, 15), (ANCESTRAL, 500))


def choice(found: Iterable[Entry], preset: str, fallback: tuple[int, str]) -> tuple[int, str]:
    """The batch size and the execution in which training comes furthest in a given time.

    A step with b molecules is worth 1 / (1 + B / b) of the best step there is, B being the noise of the gradient in
    molecules (McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", section 2.2); b / (molecules per
    second) is its time. So the larger (molecules per second) / (b + B), the better.
    """
    speeds = [entry for entry in found if entry["kind"] == "training_speed" and entry["preset"] == preset]
    measured = [entry for entry in speeds if entry["molecules_per_second"]["value"] is not None]
    if not measured:
        return fallback

    def worth(entry: Entry) -> float:
        rate: float = entry["molecules_per_second"]["value"]
        return rate / (entry["batch"] + USEFUL_BATCH)  # type: ignore[no-any-return]

    best = max(measured, key=worth)
    return best["batch"], best["execution"]


def run(context: Context, preset: str = "base") -> None:
    """The stage."""
    usual = "graphs" if "graphs" in context.available_executions() else "eager"
    batch, execution = choice(entries(context.folder), preset, (context.size.batches[0], usual))
    config = TrainingConfig(batch_size=batch, learning_rate=learning_rate(batch))
    context.record.add("choice", preset=preset, batch=batch, execution=execution, learning_rate=config.learning_rate)
    denoiser = context.fresh(preset)
    NAMES[execution].prepare(denoiser)
    train_for(context, denoiser, config, execution, preset)
    trained = context.fresh(preset)  # not compiled: its batches have other shapes
    trained.load_state_dict(denoiser.state_dict())
    context.attempt("the NLL", _likelihood, trained)
    context.attempt("the samples", _samples, trained)


def learning_rate(batch: int) -> float:
    """The default one at 128 molecules, growing with the root of the batch size up to twice itself."""
    usual = TrainingConfig()
    growth: float = (batch / usual.batch_size) ** 0.5
    return usual.learning_rate * min(2.0, max(1.0, growth))


def train_for(context: Context, denoiser: Denoiser, config: TrainingConfig, execution: str, preset: str) -> None:
    """Train until the time is over, and keep the model after every chunk of steps.

    The learning rate falls to 0 when the time is over: after every chunk the steps that are still to come are
    estimated anew from the speed of the last one. Capturing steps anew for each chunk counts towards the five minutes.
    """
    optimizer = build_optimizer(denoiser, config)
    whole = min(context.size.training_seconds, context.left - _AFTERWARDS)
    began, done, rate = time.monotonic(), 0, 0.0
    steps, total = (4, 1000) if context.small else (200, 50_000)  # of a first chunk, which shows the speed
    while True:
        seen: list[tuple[int, float]] = []  # steps taken and when, by the reports, which wait for the device
        report = context.train(
            denoiser,
            config,
            steps,
            first=done,
            total=total,
            optimizer=optimizer,
            execution=NAMES[execution],
            on_step=lambda report, seen=seen: seen.append((report.step, time.monotonic())),
        )
        done, now = done + steps, seen[-1][1]
        # Without what comes before the first report: compiling, capturing, and kernels that are loaded.
        if len(seen) > 1:
            rate = (seen[-1][0] - seen[0][0]) / (now - seen[0][1])
        left = whole - (now - began)
        context.record.add(
            "training",
            steps=done,
            molecules=done * config.batch_size,
            seconds=now - began,
            loss=report.mean_loss,
            molecules_per_second=rate * config.batch_size,
        )
        context.attempt("saving the model", _save, denoiser, preset, done)
        if left * rate < 1 or done >= total:
            return
        total = done + max(1, int(left * rate))
        steps = min(total - done, max(1, int(context.size.chunk_seconds * rate)))
        if total - done - steps < steps / 4:
            steps = total - done  # no short chunk at the end


def _save(context: Context, denoiser: Denoiser, preset: str, steps: int) -> None:
    save_model(
        context.folder / MODEL,
        denoiser,
        preset=preset,
        vocabulary=vocabularies.get(context.molecules.vocabulary),
        noise=context.molecules.noise,
        meta={"steps": steps, "source": context.molecules.source},
    )


def _likelihood(context: Context, denoiser: Denoiser) -> None:
    """Both bounds on the test molecules, with 95 % intervals from the spread of blocks of them."""
    order = torch.randperm(len(context.molecules.test), generator=torch.Generator().manual_seed(0))
    chosen = order[: context.size.test]
    noise, generator = context.molecules.noise.to(context.device), context.generator(0)
    blocks: list[Likelihood] = []
    for rows in torch.tensor_split(chosen, min(_BLOCKS, len(chosen) // 8)):
        blocks.append(nll(denoiser, noise, context.molecules.test[rows].to(context.device), generator))
    context.record.add(
        "nll",
        molecules=len(chosen),
        published=_interval([block.published for block in blocks]),
        sampler=_interval([block.sampler for block in blocks]),
    )


def _interval(values: list[float]) -> dict[str, float]:
    half = 1.96 * stdev(values) / len(values) ** 0.5
    return {"value": mean(values), "low": mean(values) - half, "high": mean(values) + half}


def _samples(context: Context, denoiser: Denoiser) -> None:
    """Molecules of the trained model by several samplers, in one file that grows with each of them."""
    noise, made = context.molecules.noise.to(context.device), dict[str, Graphs]()
    meta: dict[str, Any] = {"vocabulary": context.molecules.vocabulary, "model": MODEL}
    for sampler, steps in _SAMPLERS:
        if context.small and sampler is ANCESTRAL:
            steps = 20
        if made and context.left < 5 and not context.small:
            context.skip(f"samples {sampler.name} {steps}", "no time left")
            continue
        began, count = time.monotonic(), context.size.samples
        graphs = sample(denoiser, noise, count, context.generator(5), steps, sampler=sampler).to("cpu")
        seconds, made[f"{sampler.name}-{steps}"] = time.monotonic() - began, graphs
        save_graphs(context.folder / FILE, made, meta)
        context.record.add("samples", file=FILE, sets=sorted(made), samples=count, seconds=seconds)
