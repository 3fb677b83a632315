"""fedmol train: one model on one file, without a federation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fedmol.federation.settings import ModelSettings, TrainingSettings

if TYPE_CHECKING:
    from fedmol.diffusion import Census
    from fedmol.graphs import Graphs
    from fedmol.network import Denoiser
    from fedmol.training import StepReport, TrainingConfig

_MODEL, _TRAINING = ModelSettings(), TrainingSettings()
_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)


@click.command("train")
@click.argument("file", type=_PATH)
@click.option("--column", default="smiles", show_default=True, help="column of the SMILES in a CSV file")
@click.option("--vocabulary", default=_MODEL.vocabulary, show_default=True, help="atoms and bonds to tell apart")
@click.option("--preset", default=_MODEL.preset, show_default=True, help="small, base or digress")
@click.option("--layers", type=_COUNT, help="layers of the denoiser, the preset's when left out")
@click.option("--steps", default=2000, show_default=True, type=_COUNT, help="gradient steps")
@click.option("--batch-size", default=_TRAINING.batch_size, show_default=True, type=_COUNT)
@click.option(
    "--learning-rate", default=_TRAINING.learning_rate, show_default=True, type=click.FloatRange(0, min_open=True)
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--threads", default=_TRAINING.threads, show_default=True, type=_COUNT, help="processor threads to use")
@click.option("--out", default=Path("model.safetensors"), show_default=True, type=_PATH, help="file of the model")
@click.option("--resume", is_flag=True, help="go on from the state that a broken-off run kept beside --out")
def train(
    file: Path,
    column: str,
    vocabulary: str,
    preset: str,
    layers: int | None,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    threads: int,
    out: Path,
    resume: bool,
) -> None:
    """Train a generator on the molecules of FILE, a CSV or SMILES file."""
    import torch

    from fedmol.chem import vocabulary as vocabularies
    from fedmol.data.shards import open_shard
    from fedmol.diffusion import Census
    from fedmol.network import build
    from fedmol.training import TrainingConfig, save_model

    torch.set_num_threads(threads)
    types = vocabularies.get(vocabulary)
    denoiser = build(preset, len(types.atoms), len(types.bonds), types.max_atoms, seed, layers)
    shard = open_shard(file, column, types, validation_share=0.05)
    config = TrainingConfig(batch_size=batch_size, learning_rate=learning_rate)
    census = Census.take(shard.training, len(types.atoms), len(types.bonds), types.max_atoms)
    training = {
        "vocabulary": types.digest(),
        "preset": preset,
        "layers": denoiser.config.layers,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "census": census.to_json(),
    }
    console = Console()
    _advance(denoiser, shard.training, census, config, training, out, resume, console)
    meta = {"training": training, "source": file.name}
    save_model(out, denoiser, preset=preset, vocabulary_name=vocabulary, census=census, meta=meta)
    _kept(out).unlink(missing_ok=True)
    console.print(
        f"trained on {len(shard.training):,} molecules; validation NLL {_validation_nll(out, shard.validation):.2f}"
    )
    console.print(f"written: {out}")


def _kept(out: Path) -> Path:
    return out.with_name(out.name + ".resume")


def _advance(
    denoiser: Denoiser,
    graphs: Graphs,
    census: Census,
    config: TrainingConfig,
    training: dict[str, Any],
    out: Path,
    resume: bool,
    console: Console,
) -> None:
    """All steps that are still to be taken, with a bar; the state is kept beside `out`."""
    import time

    import torch

    from fedmol.diffusion import NoiseModel
    from fedmol.training.position import train_to_the_end

    if not resume:
        _kept(out).unlink(missing_ok=True)
    began, first, total = time.monotonic(), None, training["steps"]
    with _bar(console) as progress:
        task = progress.add_task("training", total=total, loss="", speed="")

        def on_step(report: StepReport) -> None:
            nonlocal first
            first = report.step if first is None else first
            speed = (report.step + 1 - first) * report.molecules / (time.monotonic() - began)
            progress.update(task, completed=report.step + 1, loss=f"{report.loss:.3f}", speed=f"{speed:,.0f}")

        train_to_the_end(
            _kept(out),
            training,
            denoiser,
            NoiseModel.from_census(census),
            graphs,
            total_steps=total,
            config=config,
            generator=torch.Generator().manual_seed(training["seed"]),
            on_step=on_step,
        )


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TextColumn("{task.fields[speed]} molecules/s"),
        TimeRemainingColumn(),
        console=console,
    )


def _validation_nll(out: Path, graphs: Graphs) -> float:
    """The published bound of the model as it was written, on at most 2,048 molecules."""
    import torch

    from fedmol.diffusion import nll
    from fedmol.training import load_model

    model = load_model(out)
    chosen = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(0))[:2048]
    return nll(model.denoiser, model.noise, graphs[chosen], torch.Generator().manual_seed(0)).published
