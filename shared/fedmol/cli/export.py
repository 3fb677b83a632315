"""fedmol export: the model of a run as a file to pass on, and the card that goes with it."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command("export")
@click.argument("run", type=_PATH)
@click.option("--name", help="name of the model and its files  [default: the federation's]")
@click.option("--out", default=Path(), show_default="this folder", type=_PATH, help="folder to write to")
@click.option(
    "--evaluation",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="figures from fedmol evaluate --out  [default: the run's own]",
)
@click.option("--licence", default="not stated", show_default=True, help="licence of the model")
def export(run: Path, name: str | None, out: Path, evaluation: Path | None, licence: str) -> None:
    """Write the model of the run folder RUN at half its size, with a model card.

    Weights are rounded to 16 bits, with no measurable loss for models of this kind.
    """
    import torch

    from fedmol.errors import Exit, FedmolError
    from fedmol.evaluation import read_evaluation
    from fedmol.report.model_card import Release, write_model_card
    from fedmol.report.run_record import read_record
    from fedmol.run_folder import RunFolder
    from fedmol.training.model_file import load_model, save_model

    record = read_record(run)
    measured = record.evaluation if evaluation is None else read_evaluation(evaluation, follow=True)
    if measured is None:
        raise FedmolError(
            Exit.USAGE,
            f"{run} has no {RunFolder.evaluation.name}",
            "make one: fedmol evaluate MODEL --out FILE, and name it with --evaluation",
        )
    model = load_model(RunFolder(run).model)
    release = Release(name or record.settings.name, licence, 16)
    file, card = out / f"{release.name}.safetensors", out / f"{release.name}.md"
    save_model(
        file,
        model.denoiser,
        preset=model.preset,
        vocabulary=model.vocabulary,
        noise=model.noise,
        meta=model.meta,
        shares=model.shares,
        precision=torch.float16,
        properties=model.properties,
    )
    write_model_card(card, record, model, measured, release)
    click.echo(f"model: {file} ({file.stat().st_size / 1e6:.1f} MB)")
    click.echo(f"card:  {card}")
