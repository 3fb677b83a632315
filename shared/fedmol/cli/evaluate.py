"""fedmol evaluate: the figures of a model file, or of a file of molecules that any system made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from fedmol import files
from fedmol.cli.options import SEED, THREADS, OutputFile, standardise, vocabulary

if TYPE_CHECKING:
    from rich.progress import TaskID

    from fedmol.chem.vocabulary import Recipe, Vocabulary
    from fedmol.evaluation.resemblance import Progress
    from fedmol.training.device import DeviceName

_PATH = click.Path(path_type=Path)


@click.command("evaluate")
@click.argument("subject", type=_PATH)
@click.option("--test", help="real molecules, for NLL, distances and resemblance: a file, qm9 or qm9-digress")
@click.option("--known", help="training molecules, for novelty: a file, qm9 or qm9-digress")
@click.option("--column", default="smiles", show_default=True, help="column with the SMILES, in tables")
@click.option(
    "-n", "--samples", default=1000, show_default=True, type=click.IntRange(min=1), help="molecules to generate"
)
@click.option("--sampler", default="few-step", show_default=True, help="few-step or ancestral")
@click.option("--steps", type=click.IntRange(min=1), help="sampling steps  [default: the sampler's]")
@click.option(
    "--nll-molecules", default=2048, show_default=True, type=click.IntRange(min=1), help="test molecules for NLL"
)
@click.option("--seed", default=0, show_default=True, type=SEED)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="where a model is sampled",
)
@click.option("--threads", default=1, show_default=True, type=THREADS, help="processor threads to use")
@vocabulary
@standardise
@click.option("--out", type=OutputFile(), help="JSON file to write")
@click.option("--html", type=OutputFile(), help="HTML page to write, with charts and pictures")
@click.option("--samples-out", type=OutputFile(), help="file for a model's valid molecules, one SMILES per line")
def evaluate(
    subject: Path,
    test: str | None,
    known: str | None,
    column: str,
    samples: int,
    sampler: str,
    steps: int | None,
    nll_molecules: int,
    seed: int,
    device: DeviceName,
    threads: int,
    vocabulary: Vocabulary,
    standardise: Recipe,
    out: Path | None,
    html: Path | None,
    samples_out: Path | None,
) -> None:
    """Validity, uniqueness, novelty, NLL of SUBJECT, its distances from real molecules, KL score, FCD, SNN and others.

    SUBJECT is a model (.safetensors, or qm9, which comes with fedmol), which is sampled, or a file of molecules in any
    of the forms that fedmol reads: tables, SMILES lines, SDF, Parquet, packed or not. For a file, --vocabulary and
    --standardise say in which graphs distances are measured; a model has its own.

    \b
    By name there is QM9, from the folder FEDMOL_DATA, the cache or its public address:
      qm9          what `fedmol run` with its default settings holds out, and what it trains on
      qm9-digress  DiGress's test and training molecules
    """
    from fedmol.library.assessment import evaluate, is_model
    from fedmol.library.model import load
    from fedmol.report.console import print_evaluation

    console = Console()
    with _progress(console) as report:
        model = load(str(subject), device=device) if is_model(subject) else None
        result = evaluate(
            model or subject,
            test=test,
            known=known,
            column=column,
            vocabulary=vocabulary if model is None else None,
            standardise=standardise,
            samples=samples,
            sampler=sampler,
            steps=steps,
            nll_molecules=nll_molecules,
            seed=seed,
            threads=threads,
            samples_out=samples_out,
            on_progress=report,
            tell=partial(click.echo, err=True),
        )
    print_evaluation(console, result)
    if out is not None:
        files.write_text(out, result.to_json())
        console.print(f"written: {out}", markup=False)
    if html is not None:
        from fedmol.report.evaluation_page import write_evaluation

        write_evaluation(html, result, subject.name)
        console.print(f"written: {html}", markup=False)


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """Bars of the phases, each from when it is first heard of, gone in the end."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase)
            bars.update(tasks[phase], completed=done, total=total)

        yield report
