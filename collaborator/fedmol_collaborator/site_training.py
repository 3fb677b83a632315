"""A site's own work in a round: validate the model it was given, train it on the private shard, keep its state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from fedmol.data.shards import Shard
from fedmol.diffusion.census import NoiseModel
from fedmol.diffusion.likelihood import nll
from fedmol.errors import Exit, FedmolError
from fedmol.federation.algorithms import Vector, vector_digest
from fedmol.federation.assembly import training_config
from fedmol.federation.identity import stream_seed
from fedmol.federation.settings import Settings
from fedmol.graphs import Graphs
from fedmol.network.denoiser import Denoiser
from fedmol.training.checkpoint import load_optimizer_tensors, optimizer_tensors
from fedmol.training.flat import flatten, manifest, unflatten_into
from fedmol.training.loop import StepReport, train
from fedmol.training.optimizers import Optimizers, build_optimizer
from fedmol_collaborator.pulse import Pulse
from fedmol_collaborator.site_store import PartialRound, SiteStore, TrainedRound

_SAVE_EVERY = 60.0  # seconds of training that a power cut may cost
_LOG_EVERY = 2.0  # seconds between two training steps in the site's log


@dataclass(frozen=True)
class Validated:
    nll: float  # nats per molecule, the published definition
    seconds: float


@dataclass(frozen=True)
class Trained:
    update: Vector
    loss: float
    seconds: float


class SiteTraining:
    """Every random stream is named by (seed, site, round), so a round trained again gives the same update."""

    def __init__(
        self,
        settings: Settings,
        site: str,
        shard: Shard,
        denoiser: Denoiser,
        noise: NoiseModel,
        local_steps: int,
        store: SiteStore,
        pulse: Pulse,
        stop: threading.Event,
    ) -> None:
        self.seed, self.site, self.shard, self.denoiser, self.noise = settings.seed, site, shard, denoiser, noise
        self.local_steps, self.total_steps = local_steps, local_steps * settings.training.rounds
        self.config = training_config(settings)
        self.store, self.pulse, self.stop = store, pulse, stop
        self.layout = manifest(denoiser)
        self.validation = _some(shard.validation, settings.training.validation_molecules, settings.seed)
        self._logged = float("-inf")

    @property
    def molecules(self) -> int:
        return len(self.shard.training)

    @property
    def validation_molecules(self) -> int:
        return len(self.validation)

    def validate(self, round: int, model: Vector) -> Validated:
        """The NLL of the model that enters `round`, on the same molecules and noise in every round."""
        self.pulse.events.write("received", round=round, bytes=model.nbytes)
        self.pulse.phase("validating", round)
        began = time.monotonic()
        unflatten_into(self.denoiser, model, self.layout)
        generator = torch.Generator().manual_seed(stream_seed(self.seed, self.site, "validation"))
        likelihood = nll(self.denoiser, self.noise, self.validation, generator)
        return Validated(likelihood.published, time.monotonic() - began)

    def train(self, round: int, model: Vector) -> Trained:
        """The site's update, freshly trained, continued, or found on disk.

        Raises:
            FedmolError: DIVERGED, or TERMINATED with the round's progress saved.
        """
        began, model_in = time.monotonic(), vector_digest(model)
        done = self.store.trained(round, model_in) or self._train(round, model, model_in)
        seconds = time.monotonic() - began
        self.pulse.phase("sending", round)
        size = done.update.nbytes
        tensors = [{"name": "model", "shape": list(done.update.shape), "bytes": size}]
        self.pulse.events.write("sent", round=round, tensors=tensors, bytes=size)
        return Trained(done.update, done.metrics["loss"], seconds)

    def _train(self, round: int, model: Vector, model_in: str) -> TrainedRound:
        self.pulse.phase("training", round)
        optimizer = build_optimizer(self.denoiser, self.config)
        first = self._take_up(round, model, model_in, optimizer)
        report = train(
            self.denoiser,
            optimizer,
            self.noise,
            self.shard.training,
            first_step=(round - 1) * self.local_steps + first,
            steps=self.local_steps - first,
            total_steps=self.total_steps,
            config=self.config,
            generator=torch.Generator().manual_seed(stream_seed(self.seed, self.site, round)),
            on_step=self._watch(round, first, model_in, optimizer),
        )
        metrics = {"loss": report.mean_loss}
        trained = TrainedRound(round, model_in, flatten(self.denoiser), optimizer_tensors(optimizer), metrics)
        self.store.save(trained)
        return trained

    def _take_up(self, round: int, model: Vector, model_in: str, optimizer: Optimizers) -> int:
        """Put weights and optimiser where the round starts, or where it was broken off; the steps taken before."""
        partial = self.store.partial(round, model_in)
        unflatten_into(self.denoiser, partial.weights if partial else model, self.layout)
        state = partial.optimizer if partial else self.store.optimizer_before(round)
        if state is not None:
            load_optimizer_tensors(optimizer, state)
        return partial.steps if partial else 0

    def _watch(self, round: int, first: int, model_in: str, optimizer: Optimizers) -> Callable[[StepReport], None]:
        """Shows each step, keeps the round's progress now and then, and ends it when the site is asked to stop."""
        began = saved = time.monotonic()

        def on_step(report: StepReport) -> None:
            nonlocal saved
            steps = report.step + 1 - (round - 1) * self.local_steps
            self._show(round, steps, report.loss, (steps - first) * report.molecules / (time.monotonic() - began))
            if steps == self.local_steps:
                return  # the whole round is about to be kept
            stopping = self.stop.is_set()
            if stopping or time.monotonic() - saved > _SAVE_EVERY:
                saved = time.monotonic()
                weights = flatten(self.denoiser)
                self.store.save_partial(PartialRound(round, model_in, steps, weights, optimizer_tensors(optimizer)))
            if stopping:
                raise FedmolError(
                    Exit.TERMINATED,
                    f"the site was asked to stop at step {steps} of round {round}",
                    "start it again with the same arguments: it goes on at that step",
                )

        return on_step

    def _show(self, round: int, steps: int, loss: float, molecules_per_second: float) -> None:
        fields: dict[str, Any] = {
            "step": steps,
            "steps": self.local_steps,
            "loss": loss,
            "molecules_per_second": molecules_per_second,
        }
        self.pulse.step(**fields)
        if time.monotonic() - self._logged >= _LOG_EVERY or steps == self.local_steps:
            self._logged = time.monotonic()
            self.pulse.events.write("training_step", round=round, phase="training", **fields)


def _some(graphs: Graphs, count: int, seed: int) -> Graphs:
    """`count` of the graphs at random: files are often sorted by size, and the first ones all too easy."""
    chosen = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed))[:count]
    return graphs[chosen]
