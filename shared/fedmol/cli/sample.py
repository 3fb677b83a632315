"""fedmol sample: new molecules from a model file."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from fedmol import files

_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)


@click.command("sample")
@click.argument("model", type=_PATH)
@click.option("-n", "--count", default=1000, show_default=True, type=_COUNT, help="molecules to generate")
@click.option("--steps", default=100, show_default=True, type=_COUNT, help="sampling steps, at most the model's own")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--threads", default=1, show_default=True, type=_COUNT, help="processor threads to use")
@click.option("--batch-size", default=256, show_default=True, type=_COUNT)
@click.option("--out", default=Path("samples.smi"), show_default=True, type=_PATH, help="one SMILES per line")
def sample(model: Path, count: int, steps: int, seed: int, threads: int, batch_size: int, out: Path) -> None:
    """Generate molecules with MODEL, a file that training wrote. Invalid ones are counted, not written."""
    import torch

    from fedmol.chem import vocabulary as vocabularies
    from fedmol.chem.reading import read_graphs
    from fedmol.diffusion import sample as draw
    from fedmol.training import load_model

    torch.set_num_threads(threads)
    trained = load_model(model)
    vocabulary = vocabularies.get(trained.vocabulary_name)
    console = Console()
    with Progress(console=console) as progress:
        task = progress.add_task("sampling", total=None)
        graphs = draw(
            trained.denoiser,
            trained.noise,
            count,
            torch.Generator().manual_seed(seed),
            steps=steps,
            batch_size=batch_size,
            on_step=lambda done, total: progress.update(task, completed=done, total=total),
        )
    smiles = [reading.smiles for reading in read_graphs(graphs, vocabulary)]
    valid = [one for one in smiles if one is not None]
    files.write_text(out, "".join(f"{one}\n" for one in valid))
    console.print(f"{len(valid)} valid ({len(set(valid))} different), {count - len(valid)} invalid of {count}")
    console.print(f"written: {out}")
