"""Training one model on one set of molecules, without a federation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import torch

from fedmol.chem.vocabulary import Recipe, Vocabulary
from fedmol.data.card import check, left_out
from fedmol.data.shards import Shard, build_shard
from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation.reference_molecules import table_to_train_on
from fedmol.evaluation.resemblance import Progress
from fedmol.execution import execution_named
from fedmol.library.arguments import one_of, positive, seed_and_threads, whole
from fedmol.library.model import Fit, Model
from fedmol.library.molecule_input import MoleculeInput, Tell, table_of, vocabulary_of, warn
from fedmol.models import build
from fedmol.settings import DataSettings, ExecutionName, ModelSettings, TrainingSettings
from fedmol.training import StepReport, Trainer, TrainingConfig, device_named, processes_on
from fedmol.training.device import DeviceName, threads_set
from fedmol.training.model_file import TrainedModel
from fedmol.training.resume import ResumePoint
from fedmol.training.throughput import seconds_per_step

_MODEL, _TRAINING = ModelSettings(), TrainingSettings()
_STEPS = 2000
_TIMED_STEPS = 10
_MOST_STEPS = 10**9

Optimizer = Literal["muon", "adamw"]
OnStep = Callable[[StepReport, int], None]  # the step done, and how many there are


def train(
    molecules: MoleculeInput,
    *,
    column: str = "smiles",
    vocabulary: str | Path | Vocabulary | None = None,
    standardise: Recipe = "none",
    validation_share: float = DataSettings().validation_share,
    preset: str = _MODEL.preset,
    layers: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    batch_size: int = _TRAINING.batch_size,
    optimizer: Optimizer = _TRAINING.optimizer,
    learning_rate: float = _TRAINING.learning_rate,
    seed: int = 0,
    device: DeviceName = _TRAINING.device,
    processes: int | Literal["auto"] = 1,
    threads: int = 1,
    execution: ExecutionName = _TRAINING.execution,
    state: str | Path | None = None,
    resume: bool = True,
    on_progress: Progress | None = None,
    on_step: OnStep | None = None,
    tell: Tell = warn,
) -> Model:
    """Train a generator of molecules. On one processor, equal arguments give equal weights, byte for byte.

    Args:
        molecules: a file (CSV, SMILES, SDF, Parquet; packed or not), a list of SMILES or of RDKit's molecules, or a
            public set by name: "embedded", made here, or "qm9", of which nothing is used that `evaluate` tests with.
        column: of the SMILES in a table.
        vocabulary: which atoms and sizes the model knows: "qm9-charged" when left out, "drug" for drug-like molecules,
            a `.yaml` file, or a `Vocabulary`.
        standardise: "parent" writes salts, charged forms and tautomers of a substance alike.
        validation_share: of the molecules, held out and not trained on; the model's `nll()` measures on them.
        preset: the size of the network: "small", "base", "large"; "digress" is the published one.
        layers: of the network; the preset's when left out.
        steps: gradient steps, 2,000 when neither these nor minutes are given.
        minutes: train for about so long: the steps are fitted to how fast this machine is, and `fit.steps` says how
            many they were. Reading the molecules is not counted.
        batch_size: molecules per step.
        learning_rate: at its highest; it rises for a twentieth of the steps and then falls to 0.
        device: "cpu", "cuda", or "auto": the GPU where there is one.
        processes: that share each batch; "auto" is one per GPU.
        threads: of each process; more than one rarely helps these small networks.
        execution: how steps reach a GPU, see `fedmol.execution`; "auto" is the fastest.
        state: file that keeps the position once a minute. Remove it when the model is saved.
        resume: go on from the position in that file, if it belongs to the same training.
        on_progress: is told ("reading", rows done, of how many).
        on_step: is told of the steps taken (`StepReport`), and of how many there are.
        tell: is given a line for whatever of the molecules is left out; a `DataWarning` says it otherwise.

    Raises:
        FedmolError: BAD_DATA, VOCABULARY_DIFFERS if the molecules cannot be used; BAD_SETTINGS for an unknown
            vocabulary or preset, or a machine without the device; USAGE for an argument that cannot be; DIVERGED if
            the loss does; STATE_UNUSABLE if the state is damaged.

    Example:
        >>> import fedmol
        >>> model = fedmol.train(["CCO", "CCN", "CC=O", "C1CC1", "CC#N", "OCCO"], steps=2, layers=1)
        >>> model.fit.molecules, len(model.fit.validation)
        (5, 1)
        >>> len(model.sample(5, steps=3).drawn)
        5
    """
    seed_and_threads(seed, threads)
    positive("validation_share", validation_share, below=1)
    whole("batch_size", batch_size, 1)
    positive("learning_rate", learning_rate)
    one_of("optimizer", optimizer, get_args(Optimizer))
    one_of("device", device, get_args(DeviceName))
    one_of("execution", execution, get_args(ExecutionName))
    if processes != "auto":
        whole("processes", processes, 1)
    _check_length(steps, minutes)
    place = device_named(device)
    types = vocabulary_of(vocabulary, standardise)
    config = TrainingConfig(optimizer, batch_size, learning_rate)
    with threads_set(threads):
        denoiser = build(preset, *types.sizes, seed, layers)
        shard = _shard(molecules, column, types, validation_share, on_progress, tell)
        census = Census.take(shard.training, *types.sizes)
        noise, number = NoiseModel.from_census(census), processes_on(place, processes)
        how = execution_named(execution, place, only_eager=denoiser.config.only_eager, processes=number)
        if minutes is not None:
            trial = build(preset, *types.sizes, seed, layers)
            with Trainer(trial, noise, shard.training, config, place, number, how) as trainer:
                steps = _fitting(minutes, seconds_per_step(trainer, _TIMED_STEPS, seed))
        total = steps or _STEPS
        said = {
            "vocabulary": types.digest(),
            "preset": preset,
            "layers": denoiser.config.layers,
            "steps": total,
            "batch_size": batch_size,
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "seed": seed,
        }
        with Trainer(denoiser, noise, shard.training, config, place, number, how) as trainer:
            kept = _kept(state, resume)
            position = ResumePoint(kept, {**said, "census": census.to_json()}, trainer)
            generator = torch.Generator().manual_seed(seed)
            position.train_to_the_end(total, generator, lambda report: on_step and on_step(report, total))
            noise = trainer.noise
    meta = {"training": said, "source": Path(shard.card.source).name}  # exact counts stay here
    trained = TrainedModel.of(denoiser, preset=preset, vocabulary=types, noise=noise, meta=meta)
    return Model(trained, how, fit=Fit(shard.card, len(shard.training), shard.validation, total))


def _kept(state: str | Path | None, resume: bool) -> Path | None:
    """The file for the position, without one that is not to be gone on from."""
    if state is None:
        return None
    path = Path(state)
    if not resume:
        path.unlink(missing_ok=True)
    return path


def _check_length(steps: int | None, minutes: float | None) -> None:
    if steps is not None and minutes is not None:
        raise FedmolError(Exit.USAGE, "both steps and minutes are given", "give one of them")
    if steps is not None:
        whole("steps", steps, 1, _MOST_STEPS)
    if minutes is not None:
        positive("minutes", minutes)


def _shard(
    molecules: MoleculeInput,
    column: str,
    types: Vocabulary,
    validation_share: float,
    on_progress: Progress | None,
    tell: Tell,
) -> Shard:
    """The molecules as graphs; what is left out is told."""

    def on_rows(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("reading", done, total)

    shard = build_shard(table_to_train_on(table_of(molecules), column), types, validation_share, on_rows)
    check(shard.card)
    for line in left_out(shard.card):
        tell(line)
    return shard


def _fitting(minutes: float, seconds: float) -> int:
    """How many steps of so many seconds fit."""
    return max(1, min(int(minutes * 60 / seconds), _MOST_STEPS))
