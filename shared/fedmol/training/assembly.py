"""From settings to the parts of a model, the same for aggregator, sites and the centralised baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from fedmol.chem.vocabulary import Vocabulary, get
from fedmol.diffusion.census import Census
from fedmol.diffusion.noise_model import NoiseModel
from fedmol.execution import Execution, execution_named
from fedmol.fl.federation import Settings
from fedmol.fl.messages import Agreement
from fedmol.fl.payload import Vector, vector_digest
from fedmol.fl.update_norms import Reach
from fedmol.models.denoiser import Denoiser, build
from fedmol.models.presets import preset
from fedmol.ragged import AnyGraphs
from fedmol.settings import ModelSettings, TrainingSettings
from fedmol.training.config import TrainingConfig
from fedmol.training.device import device_named, processes_on
from fedmol.training.distributed import Trainer
from fedmol.training.learning_rate import Extension, learning_rate, position
from fedmol.training.model_file import TrainedModel, save_model
from fedmol.training.parameter_vector import manifest, unflatten_into


def vocabulary_of(settings: Settings) -> Vocabulary:
    said, recipe = settings.model.vocabulary, settings.data.standardise
    return (
        get(said, recipe)
        if isinstance(said, str)
        else Vocabulary.of(said.name, said.atoms, said.max_atoms, recipe=recipe)
    )


def denoiser_of(settings: Settings) -> Denoiser:
    """The denoiser with the federation's initial weights, equal at every party."""
    vocabulary = vocabulary_of(settings)
    return build(
        settings.model.preset,
        len(vocabulary.atoms),
        len(vocabulary.bonds),
        vocabulary.max_atoms,
        settings.seed,
        settings.model.layers,
    )


def model_of(settings: Settings, agreement: Agreement, weights: Vector) -> TrainedModel:
    """The model with the weights that left a round, ready to sample."""
    denoiser, census = denoiser_of(settings), Census.from_json(agreement.census.model_dump())
    unflatten_into(denoiser, weights, manifest(denoiser))
    return TrainedModel(
        denoiser.eval(),
        NoiseModel.from_census(census),
        settings.model.preset,
        vocabulary_of(settings),
        {},
    )


def save_final_model(path: Path, settings: Settings, agreement: Agreement, weights: Vector, rounds: int) -> None:
    """Write the model that left the last round: the same file at the aggregator and at every site."""
    denoiser = denoiser_of(settings)
    unflatten_into(denoiser, weights, manifest(denoiser))
    save_model(
        path,
        denoiser,
        preset=settings.model.preset,
        vocabulary=vocabulary_of(settings),
        noise=NoiseModel.from_census(Census.from_json(agreement.census.model_dump())),
        meta={"rounds": rounds, "digest": vector_digest(weights)},
    )


def training_config(training: TrainingSettings) -> TrainingConfig:
    keys = {"optimizer", "batch_size", "learning_rate", "warmup_share", "clip_norm", "weight_decay"}
    return TrainingConfig(**training.model_dump(include=keys))


def total_steps(training: TrainingSettings, local_steps: int) -> int:
    """The gradient steps of a site in all rounds, as the run was begun."""
    return local_steps * training.rounds


def extensions(lengths: Sequence[tuple[int, int]], local_steps: int) -> list[Extension]:
    """The rounds that the run has got since, as the schedule of the learning rate takes them.

    `lengths` are (round, rounds): how many rounds the run has from which round on, the first one from round 1.
    """
    return [((round - 1) * local_steps, rounds * local_steps) for round, rounds in lengths[1:]]


def reach(
    training: TrainingSettings, local_steps: int, parameters: int, round: int, longer: Sequence[Extension] = ()
) -> Reach:
    """How far a site's steps can move the model in `round`: AdamW and Muon change a weight by the learning rate."""
    config, total = training_config(training), total_steps(training, local_steps)
    steps = range((round - 1) * local_steps, round * local_steps)
    rates = (learning_rate(position(step, total, longer), total, config) for step in steps)
    return Reach(math.sqrt(parameters) * math.fsum(rates), local_steps, config.clip_norm)


def hardware_of(training: TrainingSettings, model: ModelSettings) -> tuple[torch.device, int, Execution]:
    """Where training takes place here: the device, how many processes, and how steps are executed.

    Raises:
        FedmolError: BAD_SETTINGS where this machine does not have what is set.
    """
    device = device_named(training.device)
    processes = processes_on(device, training.processes)
    only_eager = preset(model.preset).only_eager
    execution = execution_named(training.execution, device, only_eager=only_eager, processes=processes)
    return device, processes, execution


def trainer_of(settings: Settings, noise: NoiseModel, graphs: AnyGraphs) -> Trainer:
    """What trains the federation's denoiser on `graphs` here, with the processes and the device that are set."""
    config, hardware = training_config(settings.training), hardware_of(settings.training, settings.model)
    return Trainer(denoiser_of(settings), noise, graphs, config, *hardware)
