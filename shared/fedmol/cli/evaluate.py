"""fedmol evaluate: the figures of a model file, or of a file of molecules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from fedmol import files

if TYPE_CHECKING:
    from fedmol.chem.vocabulary import Vocabulary
    from fedmol.data.shards import Shard
    from fedmol.evaluation import Evaluation
    from fedmol.federation.settings import EvaluationSettings

_PATH = click.Path(path_type=Path)


@click.command("evaluate")
@click.argument("subject", type=_PATH)
@click.option("--test", type=_PATH, help="real molecules, CSV or SMILES file: for NLL and distances")
@click.option("--known", type=_PATH, help="the molecules that were trained on, CSV or SMILES file: for novelty")
@click.option("--column", default="smiles", show_default=True, help="column of the SMILES in CSV files")
@click.option(
    "-n", "--samples", default=1000, show_default=True, type=click.IntRange(min=1), help="molecules to generate"
)
@click.option("--sampler", default="few-step", show_default=True, help="few-step or ancestral")
@click.option("--steps", type=click.IntRange(min=1), help="sampling steps; the sampler's own when left out")
@click.option(
    "--nll-molecules", default=2048, show_default=True, type=click.IntRange(min=1), help="test molecules for NLL"
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--vocabulary", help="for a file of molecules: the vocabulary in which distances are measured")
@click.option("--out", type=_PATH, help="write the evaluation as JSON")
@click.option("--samples-out", type=_PATH, help="for a model: write the valid molecules, one SMILES per line")
def evaluate(
    subject: Path,
    test: Path | None,
    known: Path | None,
    column: str,
    samples: int,
    sampler: str,
    steps: int | None,
    nll_molecules: int,
    seed: int,
    vocabulary: str | None,
    out: Path | None,
    samples_out: Path | None,
) -> None:
    """Validity, uniqueness, novelty, distances and NLL of SUBJECT.

    SUBJECT is a model (.safetensors), which is sampled, or a CSV or SMILES file of molecules.
    """
    from fedmol.chem import vocabulary as vocabularies
    from fedmol.cli.tables import print_evaluation
    from fedmol.federation.settings import EvaluationSettings, ModelSettings

    console = Console()
    if subject.suffix == ".safetensors":
        settings = EvaluationSettings(
            samples=samples, sampler=sampler, sampling_steps=steps, nll_molecules=nll_molecules
        )
        result = _of_model(subject, test, known, column, settings, seed, samples_out, console)
    else:
        chosen = vocabularies.get(vocabulary or ModelSettings().vocabulary)
        result = _of_molecules(subject, test, known, column, chosen)
    print_evaluation(console, result)
    if out is not None:
        files.write_text(out, result.to_json())
        console.print(f"written: {out}")


def _of_model(
    path: Path,
    test: Path | None,
    known: Path | None,
    column: str,
    settings: EvaluationSettings,
    seed: int,
    samples_out: Path | None,
    console: Console,
) -> Evaluation:
    from rich.progress import Progress

    from fedmol.chem import vocabulary as vocabularies
    from fedmol.evaluation import evaluate
    from fedmol.training.model_file import load_model

    model = load_model(path)
    vocabulary = vocabularies.get(model.vocabulary_name)
    real, trained = _shard(test, column, vocabulary), _shard(known, column, vocabulary)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks = {name: progress.add_task(name, total=None) for name in ("sampling", "likelihood")}
        return evaluate(
            model,
            None if real is None else real.graphs,
            set() if trained is None else set(trained.smiles),
            settings,
            seed,
            lambda phase, done, total: progress.update(tasks[phase], completed=done, total=total),
            samples_out,
        )


def _of_molecules(path: Path, test: Path | None, known: Path | None, column: str, vocabulary: Vocabulary) -> Evaluation:
    from fedmol.data.reading import read_table
    from fedmol.evaluation import evaluate_smiles

    table = read_table(path, column)
    real, trained = _shard(test, column, vocabulary), _shard(known, column, vocabulary)
    return evaluate_smiles(
        table.smiles,
        None if real is None else real.graphs,
        set() if trained is None else set(trained.smiles),
        vocabulary,
    )


def _shard(path: Path | None, column: str, vocabulary: Vocabulary) -> Shard | None:
    from fedmol.data.shards import open_shard

    return None if path is None else open_shard(path, column, vocabulary, 0.0)
