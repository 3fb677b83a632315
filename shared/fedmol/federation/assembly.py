"""From settings to the parts of a model, the same for aggregator, sites and the centralised baseline."""

from __future__ import annotations

import math

import torch

from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.vocabulary import Vocabulary
from fedmol.diffusion.census import Census, NoiseModel
from fedmol.execution import Execution, execution_named
from fedmol.federation.messages import Agreement
from fedmol.federation.settings import Settings
from fedmol.fl.norms import Reach
from fedmol.fl.payload import Vector
from fedmol.graphs import Graphs
from fedmol.network.config import preset
from fedmol.network.denoiser import Denoiser, build
from fedmol.training.config import TrainingConfig
from fedmol.training.device import device_named, processes_on
from fedmol.training.flat import manifest, unflatten_into
from fedmol.training.loop import learning_rate
from fedmol.training.model_file import TrainedModel
from fedmol.training.team import Team


def vocabulary_of(settings: Settings) -> Vocabulary:
    return vocabularies.get(settings.model.vocabulary)


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
    denoiser, census = denoiser_of(settings), Census.from_json(agreement.census)
    unflatten_into(denoiser, weights, manifest(denoiser))
    return TrainedModel(
        denoiser.eval(),
        NoiseModel.from_census(census),
        census,
        settings.model.preset,
        settings.model.vocabulary,
        {},
    )


def training_config(settings: Settings) -> TrainingConfig:
    keys = {"optimizer", "batch_size", "learning_rate", "warmup_share", "clip_norm", "weight_decay"}
    return TrainingConfig(**settings.training.model_dump(include=keys))


def reach(settings: Settings, local_steps: int, parameters: int, round: int) -> Reach:
    """How far a site's steps can move the model in `round`: AdamW and Muon change a weight by the learning rate."""
    config, total = training_config(settings), local_steps * settings.training.rounds
    steps = range((round - 1) * local_steps, round * local_steps)
    rates = (learning_rate(step, total, config) for step in steps)
    return Reach(math.sqrt(parameters) * math.fsum(rates), local_steps)


def hardware_of(settings: Settings) -> tuple[torch.device, int, Execution]:
    """Where training takes place here: the device, how many processes, and how steps are executed.

    Raises:
        FedmolError: BAD_SETTINGS where this machine does not have what is set.
    """
    device = device_named(settings.training.device)
    processes = processes_on(device, settings.training.processes)
    only_eager = preset(settings.model.preset).only_eager
    execution = execution_named(settings.training.execution, device, only_eager=only_eager, processes=processes)
    return device, processes, execution


def team_of(settings: Settings, noise: NoiseModel, graphs: Graphs) -> Team:
    """What trains the federation's denoiser on `graphs` here, with the processes and the device that are set."""
    config, hardware = training_config(settings), hardware_of(settings)
    return Team(denoiser_of(settings), noise, graphs, config, *hardware, settings.local_method)
