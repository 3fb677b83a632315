"""fedmol train: one model on one file, without a federation."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click
from rich.console import Console

from fedmol.cli.options import SEED, THREADS, OutputFile, standardise, vocabulary
from fedmol.formats import fixed, number
from fedmol.settings import ExecutionName, ModelSettings, TrainingSettings

if TYPE_CHECKING:
    from fedmol.chem.vocabulary import Recipe, Vocabulary
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
@click.option("--steps", type=_COUNT, help="gradient steps  [default: 2000]")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="train for about so long, instead of --steps")
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
    steps: int | None,
    minutes: float | None,
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
    """Train a generator on the molecules in FILE: CSV, SMILES, SDF or Parquet, compressed or not.

    FILE may also be `embedded`, for molecules that are made here, or `qm9`, for QM9 without its test molecules.
    """
    from fedmol.cli.rows_read import RowsRead
    from fedmol.cli.training_progress import TrainingProgress
    from fedmol.library.fitting import train

    state, console = out.with_name(out.name + ".resume"), Console()
    if resume and not state.exists():
        console.print(
            f"there is no interrupted training of {out}: this one starts at step 0", markup=False, soft_wrap=True
        )
    with RowsRead(console) as rows, TrainingProgress(console, batch_size) as progress:

        def on_progress(phase: str, done: int, total: int) -> None:
            rows.follow(done, total)

        model = train(
            file,
            column=column,
            vocabulary=vocabulary,
            standardise=standardise,
            preset=preset,
            layers=layers,
            steps=steps,
            minutes=minutes,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            seed=seed,
            device=device,
            processes=_processes(processes),
            threads=threads,
            execution=execution,
            state=state,
            resume=resume,
            on_progress=on_progress,
            on_step=progress.follow,
            tell=partial(console.print, markup=False),
        )
    replaced = " (replaced)" if out.exists() else ""
    model.save(out)
    state.unlink(missing_ok=True)
    console.print(f"written: {out}{replaced}", markup=False, soft_wrap=True)  # before anything else can go wrong
    found, fit = model.nll(threads=threads), model.fit
    assert fit is not None
    error = fixed(1.96 * found.standard_error)
    console.print(
        f"trained on {number(fit.molecules, 'molecule')}; validation NLL {found.published:.2f} ± {error} "
        f"({number(found.molecules, 'molecule')})",
        highlight=False,
    )


def _processes(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdigit() or text == "0":
        raise click.BadParameter(f"{text!r} is neither a number of processes nor auto", param_hint="--processes")
    return int(text)
