"""From settings to the parts of a model, the same for aggregator, sites and the centralised baseline."""

from __future__ import annotations

from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.vocabulary import Vocabulary
from fedmol.federation.settings import Settings
from fedmol.network.denoiser import Denoiser, build
from fedmol.training.config import TrainingConfig


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


def training_config(settings: Settings) -> TrainingConfig:
    keys = {"batch_size", "learning_rate", "warmup_share", "clip_norm", "weight_decay"}
    return TrainingConfig(**settings.training.model_dump(include=keys))
