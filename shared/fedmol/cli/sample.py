"""fedmol sample: new molecules from a model file."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fedmol import zoo
from fedmol.cli.options import SEED, THREADS, OutputFile
from fedmol.settings import EvaluationSettings, ExecutionName

if TYPE_CHECKING:
    from fedmol.training.device import DeviceName

_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)
_MOST_ISOMERS = 1024  # what fedmol.chem.stereo looks at; to import it would load RDKit for a help text


@click.command("sample")
@click.argument("model", type=_PATH, required=False)
@click.option("-n", "--count", default=1000, show_default=True, type=_COUNT, help="molecules to generate")
@click.option(
    "--scaffold", help="SMILES that every molecule has to contain; grows at [*], or anywhere if there is none"
)
@click.option("--atoms", type=_COUNT, help="heavy atoms per molecule  [default: as in training]")
@click.option("--sampler", default=EvaluationSettings().sampler, show_default=True, help="few-step or ancestral")
@click.option("--steps", type=_COUNT, help="sampling steps  [default: the sampler's; 60 with a scaffold]")
@click.option("--seed", default=0, show_default=True, type=SEED)
@click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]))
@click.option(
    "--execution",
    default="auto",
    show_default=True,
    type=click.Choice(list(get_args(ExecutionName))),
    help="how a GPU runs steps: kernel by kernel (eager), compiled, or captured as CUDA graphs",
)
@click.option("--threads", default=1, show_default=True, type=THREADS, help="CPU threads")
@click.option("--known", type=_PATH, help="file of known molecules, to flag novel ones")
@click.option("--column", default="smiles", show_default=True, help="column with the SMILES in --known")
@click.option("--unique", is_flag=True, help="write each molecule only once")
@click.option(
    "--stereo",
    type=click.IntRange(1, _MOST_ISOMERS),
    help="write up to this many stereoisomers of each molecule; the model itself ignores stereo",
)
@click.option("--out", default=Path("samples.smi"), show_default=True, type=OutputFile(), help=".smi, .csv or .sdf")
def sample(
    model: Path | None,
    count: int,
    scaffold: str | None,
    atoms: int | None,
    sampler: str,
    steps: int | None,
    seed: int,
    device: DeviceName,
    execution: ExecutionName,
    threads: int,
    known: Path | None,
    column: str,
    unique: bool,
    stereo: int | None,
    out: Path,
) -> None:
    """Generate molecules with MODEL, a file written by training, or with the model that ships with fedmol.

    A .smi file has one SMILES per line, an .sdf file 2D structures; both hold valid molecules only. A .csv file says
    whether each molecule is valid, relaxed-valid, connected and, with --known, novel, and what is wrong with invalid
    ones. The same arguments give the same molecules on the same kind of device.

    With --scaffold, a molecule is valid only if RDKit finds the scaffold in it, aromatic where the scaffold is; an [nH]
    in it may be substituted. Stereo is not modelled: --stereo N writes up to N stereoisomers of each valid molecule, in
    no order of preference, while --unique, --known and the summary count molecules without stereo.
    """
    from fedmol.chem.molecule_writers import listing
    from fedmol.library.model import load
    from fedmol.library.molecule_set import write

    listing(out)  # before the model is loaded
    source = zoo.DEFAULT if model is None else str(model)
    trained = load(source, device=device, execution=execution)
    console = Console()
    bar = _Bar(console, count)
    blocks = trained.blocks(
        count,
        seed=seed,
        scaffold=scaffold,
        atoms=atoms,
        sampler=sampler,
        steps=steps,
        known=known,
        column=column,
        threads=threads,
        on_progress=bar.reach,
        tell=partial(click.echo, err=True),
    )
    with bar:  # once nothing is wrong with the arguments
        tally, expansion = write(out, blocks, unique=unique, stereo=stereo)
    console.print(f"{tally}, in {bar.seconds:.1f} s", highlight=False)
    if stereo is not None:
        console.print(f"stereo is not modelled: wrote {expansion}, at most {stereo:,} of each", highlight=False)
    console.print(f"written: {out}", markup=False)


class _Bar(Progress):
    """Molecules done, per second, and the time that is left."""

    def __init__(self, console: Console, count: int) -> None:
        super().__init__(
            TextColumn("sampling"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]} molecules/s"),
            TimeRemainingColumn(),
            console=console,
        )
        self.began = time.monotonic()
        self.task = self.add_task("sampling", total=count, speed="")

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def reach(self, done: float, total: int) -> None:
        """`done` molecules' work is done."""
        self.update(self.task, completed=int(done), speed=f"{done / self.seconds:,.0f}")
