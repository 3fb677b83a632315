"""fedmol train: one model on one file, without a federation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click
from rich.console import Console

from fedmol.cli.options import SEED, THREADS, OutputFile, standardise, vocabulary
from fedmol.settings import ExecutionName, ModelSettings, TrainingSettings

if TYPE_CHECKING:
    import torch

    from fedmol.chem.vocabulary import Recipe, Vocabulary
    from fedmol.ragged import RaggedGraphs
    from fedmol.training import Trainer
    from fedmol.training.device import DeviceName

_MODEL, _TRAINING = ModelSettings(), TrainingSettings()
_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)


@click.command("train")
@click.argument("file", type=_PATH)
@click.option("--column", default="smiles", show_default=True, help="column with the SMILES, in tables")
@vocabulary
@standardise
@click.option("--preset", default=_MODEL.preset, show_default=True, help="small, base, large or digress")
@click.option("--layers", type=_COUNT, help="layers of the denoiser  [default: the preset's]")
@click.option("--steps", default=2000, show_default=True, type=_COUNT, help="gradient steps")
@click.option("--batch-size", default=_TRAINING.batch_size, show_default=True, type=_COUNT)
@click.option("--optimizer", default=_TRAINING.optimizer, show_default=True, type=click.Choice(["muon", "adamw"]))
@click.option(
    "--learning-rate", default=_TRAINING.learning_rate, show_default=True, type=click.FloatRange(0, min_open=True)
)
@click.option("--seed", default=0, show_default=True, type=SEED)
@click.option("--device", default=_TRAINING.device, show_default=True, type=click.Choice(["auto", "cpu", "cuda"]))
@click.option(
    "--processes",
    default=str(_TRAINING.processes),
    show_default=True,
    help="processes that share each batch; auto: one per GPU",
)
@click.option("--threads", default=_TRAINING.threads, show_default=True, type=THREADS, help="threads of each process")
@click.option(
    "--execution",
    default=_TRAINING.execution,
    show_default=True,
    type=click.Choice(list(get_args(ExecutionName))),
    help="how a GPU runs steps: kernel by kernel (eager), compiled, or captured as CUDA graphs",
)
@click.option(
    "--out", default=Path("model.safetensors"), show_default=True, type=OutputFile(), help="file of the model"
)
@click.option("--resume", is_flag=True, help="continue an interrupted training, from the state kept beside --out")
def train(
    file: Path,
    column: str,
    vocabulary: Vocabulary,
    standardise: Recipe,
    preset: str,
    layers: int | None,
    steps: int,
    batch_size: int,
    optimizer: Literal["muon", "adamw"],
    learning_rate: float,
    seed: int,
    device: DeviceName,
    processes: str,
    threads: int,
    execution: ExecutionName,
    out: Path,
    resume: bool,
) -> None:
    """Train a generator on the molecules in FILE: CSV, SMILES, SDF or Parquet, compressed or not."""
    import torch

    from fedmol.cli.rows_read import RowsRead
    from fedmol.data.card import left_out
    from fedmol.data.shards import open_shard
    from fedmol.diffusion import Census, NoiseModel
    from fedmol.execution import execution_named
    from fedmol.models import build
    from fedmol.training import Trainer, TrainingConfig, device_named, processes_on, save_model

    torch.set_num_threads(threads)
    place = device_named(device)
    types = replace(vocabulary, recipe=standardise)
    denoiser = build(preset, len(types.atoms), len(types.bonds), types.max_atoms, seed, layers)
    console = Console()
    with RowsRead(console) as rows:
        shard = open_shard(file, column, types, validation_share=0.05, on_progress=rows.follow)
    for line in left_out(shard.card):
        console.print(line, markup=False)
    config = TrainingConfig(optimizer, batch_size, learning_rate)
    census = Census.take(shard.training, len(types.atoms), len(types.bonds), types.max_atoms)
    training = {
        "vocabulary": types.digest(),
        "preset": preset,
        "layers": denoiser.config.layers,
        "steps": steps,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "seed": seed,
        "census": census.to_json(),
    }
    noise, number = NoiseModel.from_census(census), processes_on(place, _processes(processes))
    how = execution_named(execution, place, only_eager=denoiser.config.only_eager, processes=number)
    with Trainer(denoiser, noise, shard.training, config, place, number, how) as trainer:
        _advance(trainer, training, out, resume, console)
    told = {name: value for name, value in training.items() if name != "census"}  # exact counts stay here
    meta = {"training": told, "source": file.name}
    save_model(out, denoiser, preset=preset, vocabulary=types, noise=noise, meta=meta)
    _kept(out).unlink(missing_ok=True)
    console.print(f"written: {out}", markup=False)  # before anything else can go wrong
    validated = _validation_nll(out, shard.validation, place)
    console.print(f"trained on {len(shard.training):,} molecules; validation NLL {validated:.2f}")


def _kept(out: Path) -> Path:
    return out.with_name(out.name + ".resume")


def _processes(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdigit() or text == "0":
        raise click.BadParameter(f"{text!r} is neither a number of processes nor auto", param_hint="--processes")
    return int(text)


def _advance(trainer: Trainer, training: dict[str, Any], out: Path, resume: bool, console: Console) -> None:
    """All steps that are still to be taken, shown as they are taken; the state is kept beside `out`."""
    import torch

    from fedmol.cli.training_progress import TrainingProgress
    from fedmol.training.resume import ResumePoint

    if not resume:
        _kept(out).unlink(missing_ok=True)
    position = ResumePoint(_kept(out), training, trainer)
    generator = torch.Generator().manual_seed(training["seed"])
    with TrainingProgress(console, position.steps, training["steps"]) as progress:
        position.train_to_the_end(training["steps"], generator, progress.follow)


def _validation_nll(out: Path, graphs: RaggedGraphs, device: torch.device) -> float:
    """The published bound of the model as it was written, on at most 2,048 molecules."""
    import torch

    from fedmol.diffusion import nll
    from fedmol.training import load_model

    model = load_model(out)
    chosen = graphs[torch.randperm(len(graphs), generator=torch.Generator().manual_seed(0))[:2048]]
    generator = torch.Generator(device).manual_seed(0)
    return nll(model.denoiser.to(device), model.noise.to(device), chosen.to(device), generator).published
