"""A site's own work in a round: validate the model it was given, train it on the private shard, keep its state."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from fedmol.diffusion.likelihood import nll
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol.fl.identity import digest, stream_seed
from fedmol.fl.local_methods import Kept, Vectors, holding
from fedmol.fl.messages import RoundOpening
from fedmol.fl.payload import MODEL, Sections, Vector, section_digests
from fedmol.formats import duration
from fedmol.graphs import Graphs
from fedmol.ragged import AnyGraphs
from fedmol.telemetry import queries
from fedmol.telemetry.events.round_events import ModelValidated, RoundModelReceived, TensorSent, UpdateSent
from fedmol.telemetry.events.run_events import StateDamaged
from fedmol.telemetry.events.site_events import TrainingStep
from fedmol.telemetry.log import EventLog
from fedmol.training.assembly import total_steps
from fedmol.training.distributed import Trainer
from fedmol.training.local_round import LocalRound
from fedmol.training.loop import StepReport
from fedmol.training.optimizers import Optimizers, build_optimizer
from fedmol.training.parameter_vector import flatten, manifest, unflatten_into
from fedmol.training.sealed_tensors import load_optimizer_tensors, optimizer_tensors
from fedmol.training.throughput import Throughput
from fedmol_collaborator.known_changes import KnownChanges
from fedmol_collaborator.progress_reporter import ProgressReporter
from fedmol_collaborator.site_state import PartialRound, SiteState, TrainedRound

log = logging.getLogger("fedmol.site")
T = TypeVar("T")

_SAVE_EVERY = 60.0  # seconds of training that a power cut may cost
_LOG_EVERY = 2.0  # seconds between two training steps in the site's event log
_TELL_EVERY = 30.0  # seconds between two lines about them for people


@dataclass(frozen=True)
class Validated:
    nll: float  # nats per molecule, the published definition
    seconds: float


@dataclass(frozen=True)
class Trained:
    sections: Sections  # as they are sent
    loss: float
    seconds: float


class SiteTraining:
    """Every random stream is named by (seed, site, round), so a round trained again gives the same update."""

    def __init__(
        self,
        settings: Settings,
        site: str,
        trainer: Trainer,
        validation: AnyGraphs,
        local_steps: int,
        course: KnownChanges,
        store: SiteState,
        reporter: ProgressReporter,
        stop: threading.Event,
    ) -> None:
        self.seed, self.site, self.trainer = settings.seed, site, trainer
        self.local_steps, self.total_steps = local_steps, total_steps(settings.training, local_steps)
        self.course = course
        self.store, self.reporter, self.stop = store, reporter, stop
        self.denoiser, self.layout = trainer.denoiser, manifest(trainer.denoiser)
        self.payload, self.method = settings.strategy.payload(self.layout.size), settings.local_method
        self.opening: RoundOpening | None = None  # of the round that is to be trained
        self.validation = _some(validation, settings.training.validation_molecules, settings.seed).to(trainer.device)
        self._logged, self._told = float("-inf"), time.monotonic()
        self._sent = _rounds_sent(reporter.events)

    @property
    def molecules(self) -> int:
        return len(self.trainer.graphs)

    @property
    def validation_molecules(self) -> int:
        return len(self.validation)

    def last_sent(self, before: int) -> int | None:
        """The last round before `before` whose update the site has logged as sent; None before the first."""
        return max((round for round in self._sent if round < before), default=None)

    def validate(self, round: int, model: Vector) -> Validated:
        """The NLL of the model that enters `round`, on the same molecules and noise in every round."""
        self.reporter.events.write(RoundModelReceived(bytes=model.nbytes), round=round)
        self.reporter.phase("validating", round)
        began = time.monotonic()
        unflatten_into(self.denoiser, model, self.layout)
        seed = stream_seed(self.seed, self.site, "validation")
        generator = torch.Generator(self.trainer.device).manual_seed(seed)
        likelihood = nll(self.denoiser, self.trainer.noise, self.validation, generator)
        self.reporter.events.write(ModelValidated(nll=likelihood.published), round=round)
        return Validated(likelihood.published, time.monotonic() - began)

    def train(self, round: int, start: Sections) -> Trained:
        """The site's update, freshly trained, continued, or found on disk.

        Raises:
            FedmolError: DIVERGED, PROCESS_LOST, or TERMINATED with the round's progress saved.
        """
        began, kept = time.monotonic(), self._state_entering(round)
        model_in = _digest(start, kept)
        path = self.store.files.path(round)
        done = self._kept(path, lambda: self.store.trained(round, model_in))
        done = done or self._train(round, start, kept, model_in)
        seconds = time.monotonic() - began
        self.reporter.phase("sending", round)
        sections = {MODEL: done.update, **done.sections}
        tensors = [
            TensorSent(name=name, shape=list(section.shape), bytes=section.nbytes) for name, section in sections.items()
        ]
        self.reporter.events.write(UpdateSent(tensors=tensors, bytes=self.payload.nbytes), round=round)
        self._sent.add(round)
        return Trained(sections, done.metrics["loss"], seconds)

    def _train(self, round: int, start: Sections, kept: Kept, model_in: str) -> TrainedRound:
        self.reporter.phase("training", round)
        optimizer = build_optimizer(self.denoiser, self.trainer.config)
        first, sums = self._take_up(round, start[MODEL], model_in, optimizer)
        local = LocalRound(self.method, start, kept.vectors, sums)
        report = self.trainer.train(
            optimizer,
            first_step=(round - 1) * self.local_steps + first,
            steps=self.local_steps - first,
            total_steps=self.total_steps,
            extensions=self.course.extensions(self.local_steps),
            generator=torch.Generator().manual_seed(stream_seed(self.seed, self.site, round)),
            local=local,
            on_step=self._watch(round, first, model_in, optimizer, local),
        )
        end = local.end(self.local_steps)
        trained = TrainedRound(
            round,
            model_in,
            flatten(self.denoiser),
            optimizer_tensors(optimizer),
            {"loss": report.mean_loss},
            end.sections,
            end.kept,
            kept,
        )
        self.store.save(trained)
        return trained

    def _kept(self, path: Path, load: Callable[[], T | None]) -> T | None:
        """What `load` reads from `path`; nothing where it is damaged, since training again gives the same."""
        try:
            return load()
        except FedmolError as damage:
            self.reporter.events.write(StateDamaged(file=str(path), detail=damage.message))
            log.warning("%s; the round is trained again", damage.message)
            path.unlink(missing_ok=True)
            return None

    def _take_up(self, round: int, model: Vector, model_in: str, optimizer: Optimizers) -> tuple[int, Vectors]:
        """Put weights and optimiser where the round starts, or where it was broken off.

        Returns the steps taken before, and what has added up in them.
        """
        partial = self._kept(self.store.partial_path, lambda: self.store.partial(round, model_in))
        unflatten_into(self.denoiser, partial.weights if partial else model, self.layout)
        state = partial or self._round_before(round)
        if state is not None:
            load_optimizer_tensors(optimizer, state.optimizer)
        return (partial.steps, partial.sums) if partial else (0, {})

    def _state_entering(self, round: int) -> Kept:
        """What the local method starts from; raises as `_round_before` does."""
        if not self.method.sums:
            return Kept()
        opening, before = self.opening, self._round_before(round)
        assert opening is not None
        assert opening.round == round
        return holding(opening.last_counted, opening.members_since, () if before is None else before.states)

    def _round_before(self, round: int) -> TrainedRound | None:
        """What optimiser and local method go on from; with another state the site would train another model.

        Raises:
            FedmolError: STATE_UNUSABLE when the file is damaged, or the site has trained a later round than it holds.
        """
        before, trained = self.store.round_before(round), self.last_sent(round)
        if trained is not None and (before is None or before < trained):
            path = self.store.files.path(trained)
            raise _not_without(f"{path} is missing: the event log says that this site trained round {trained}")
        try:
            return None if before is None else self.store.ended(before)
        except FedmolError as damage:
            raise _not_without(damage.message) from None

    def _watch(
        self, round: int, first: int, model_in: str, optimizer: Optimizers, local: LocalRound
    ) -> Callable[[StepReport], None]:
        """Shows each step, keeps the round's progress now and then, and ends it when the site is asked to stop."""
        start, saved = (round - 1) * self.local_steps, time.monotonic()
        pace = Throughput(start + first, start + self.local_steps)

        def on_step(report: StepReport) -> None:
            nonlocal saved
            steps = report.step + 1 - start
            pace.follow(report)
            self._show(round, steps, report.loss, pace)
            if steps == self.local_steps:
                return  # the whole round is about to be kept
            stopping = self.stop.is_set()
            if stopping or time.monotonic() - saved > _SAVE_EVERY:
                saved = time.monotonic()
                weights, tensors = flatten(self.denoiser), optimizer_tensors(optimizer)
                self.store.save_partial(PartialRound(round, model_in, steps, weights, tensors, local.so_far()))
            if stopping:
                raise FedmolError(
                    Exit.TERMINATED,
                    f"the site was asked to stop at step {steps} of round {round}",
                    "start it again with the same arguments: it continues at that step",
                )

        return on_step

    def _show(self, round: int, steps: int, loss: float, pace: Throughput) -> None:
        fields: dict[str, Any] = {
            "step": steps,
            "steps": self.local_steps,
            "loss": loss,
            "molecules_per_second": pace.molecules_per_second,
            "seconds_left": pace.seconds_left,
        }
        self.reporter.step(**fields)
        if time.monotonic() - self._logged >= _LOG_EVERY or steps == self.local_steps:
            self._logged = time.monotonic()
            self.reporter.events.write(TrainingStep(**fields), round=round, phase="training")
        if time.monotonic() - self._told >= _TELL_EVERY:
            self._told = time.monotonic()
            log.info(
                "round %d, step %d of %d: loss %.3f, %.0f molecules/s, %s left",
                round,
                steps,
                self.local_steps,
                pace.loss,
                pace.molecules_per_second,
                duration(pace.seconds_left),
            )


def _rounds_sent(events: EventLog) -> set[int]:
    """The rounds of this run whose updates the site has trained, by its own log."""
    sent = queries.logged(events.path, UpdateSent, events.run)
    return {event.round for event in sent if event.round is not None}


def _digest(start: Sections, kept: Kept) -> str:
    """Of what a round starts from: rounds with equal digests give equal updates."""
    digests = section_digests(start)
    if digests.keys() == {MODEL}:
        return digests[MODEL]
    return digest({"start": digests, "kept": section_digests(kept.vectors), "round": kept.round})


def _not_without(what: str) -> FedmolError:
    return FedmolError(
        Exit.STATE_UNUSABLE,
        what,
        "restore the site's working folder from a backup: without this file the site would train another model",
    )


def _some(graphs: AnyGraphs, count: int, seed: int) -> Graphs:
    """`count` of the graphs at random: files are often sorted by size, and the first ones all too easy."""
    chosen = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed))[:count]
    return graphs[chosen]
