"""Training a denoiser, and keeping what was trained."""

from fedmol.training.config import TrainingConfig
from fedmol.training.device import device_named, processes_on
from fedmol.training.distributed import Trainer
from fedmol.training.learning_rate import learning_rate
from fedmol.training.local_round import LocalRound
from fedmol.training.loop import StepReport, TrainingReport, train
from fedmol.training.model_file import TrainedModel, load_model, save_model
from fedmol.training.optimizers import Optimizers, build_optimizer
from fedmol.training.parameter_vector import Manifest, flatten, manifest, unflatten_into
from fedmol.training.sealed_tensors import load_optimizer_tensors, optimizer_tensors

__all__ = [
    "LocalRound",
    "Manifest",
    "Optimizers",
    "StepReport",
    "TrainedModel",
    "Trainer",
    "TrainingConfig",
    "TrainingReport",
    "build_optimizer",
    "device_named",
    "flatten",
    "learning_rate",
    "load_model",
    "load_optimizer_tensors",
    "manifest",
    "optimizer_tensors",
    "processes_on",
    "save_model",
    "train",
    "unflatten_into",
]
