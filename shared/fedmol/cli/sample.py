"""fedmol sample: new molecules from a model file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fedmol import files
from fedmol.cli.options import SEED, THREADS, OutputFile
from fedmol.errors import Exit, FedmolError
from fedmol.settings import EvaluationSettings, ExecutionName

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedmol.chem.molecule_writers import Entry
    from fedmol.chem.scaffold_query import Scaffold
    from fedmol.chem.stereo import Stereoisomers
    from fedmol.diffusion import NoiseModel
    from fedmol.diffusion.denoising import Denoises
    from fedmol.diffusion.samplers import Sampler
    from fedmol.execution import Execution
    from fedmol.graphs import Graphs
    from fedmol.training import TrainedModel
    from fedmol.training.device import DeviceName

_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)
_BLOCK = {"cpu": 4096, "cuda": 65536}  # molecules that are in memory at a time
_MOST_ISOMERS = 1024  # what fedmol.chem.stereo looks at; to import it would load RDKit for a help text
_SCAFFOLD_STEPS = 60  # to grow around something fixed is harder


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
    import torch

    from fedmol.chem.molecule_writers import NO_SCAFFOLD, entries, isomers_of, listing
    from fedmol.chem.scaffold_query import read_scaffold
    from fedmol.diffusion import samplers
    from fedmol.evaluation.reference_molecules import training_molecules
    from fedmol.execution import execution_named
    from fedmol.training import device_named, load_model
    from fedmol.zoo import shipped

    form, way = listing(out, stereo=stereo is not None), samplers.get(sampler)
    torch.set_num_threads(threads)
    place = device_named(device)
    trained = load_model(model or shipped()).to(place)
    how = execution_named(execution, place, only_eager=trained.denoiser.config.only_eager)
    how.prepare(trained.denoiser)
    vocabulary = trained.vocabulary
    tell = partial(click.echo, err=True)
    known_smiles = None if known is None else training_molecules(str(known), column, vocabulary, tell)
    around = None if scaffold is None else read_scaffold(scaffold, vocabulary)
    denoiser, noise = _asked(trained, around, atoms)
    steps = steps or (_SCAFFOLD_STEPS if around and way is samplers.FEW_STEP else None)
    console, expansion = Console(), _Expansion()
    tally = _Tally(NO_SCAFFOLD if around else None, novelty=known is not None)
    with files.replacing(out) as file, _Bar(console, count) as bar:
        file.write(form.head.encode())
        for graphs in _blocks(denoiser, noise, count, way, steps, seed, how, bar.reach):
            for entry in entries(graphs, vocabulary, known_smiles, around):
                if tally.is_new(entry) or not unique:
                    isomers = None if stereo is None else isomers_of(entry, stereo)
                    expansion.add(entry, isomers)
                    file.write(form.rows(entry, isomers).encode())
    console.print(f"{tally}, in {bar.seconds:.1f} s", highlight=False)
    if stereo is not None:
        console.print(f"stereo is not modelled: wrote {expansion}, at most {stereo:,} of each", highlight=False)
    console.print(f"written: {out}", markup=False)


def _asked(trained: TrainedModel, scaffold: Scaffold | None, atoms: int | None) -> tuple[Denoises, NoiseModel]:
    """The denoiser and the noise for the molecules that are wanted."""
    from fedmol.diffusion.inpainting import Inpainting, between

    denoiser: Denoises = trained.denoiser
    device = trained.noise.size_distribution.device
    least, most = 1, trained.noise.max_atoms
    if scaffold is not None:
        denoiser, least = Inpainting(denoiser, scaffold.fragment.to(device)), scaffold.fragment.least
    if atoms is not None and not least <= atoms <= most:
        raise FedmolError(
            Exit.USAGE, f"--atoms {atoms} cannot be had here", f"ask for {least} to {most} heavy atoms, or leave it out"
        )
    return denoiser, between(trained.noise, atoms or least, atoms or most)


def _blocks(
    denoiser: Denoises,
    noise: NoiseModel,
    count: int,
    sampler: Sampler,
    steps: int | None,
    seed: int,
    execution: Execution,
    on_progress: Callable[[float], None],
) -> Iterator[Graphs]:
    """`count` graphs in the processor's memory, some thousands at a time.

    `on_progress` is told how many molecules' work is done.
    """
    import torch

    from fedmol.diffusion import sample as draw

    device = noise.size_distribution.device
    generator, block = torch.Generator(device).manual_seed(seed), _BLOCK[device.type]
    for begun in range(0, count, block):
        size = min(block, count - begun)

        def on_step(done: int, total: int, begun: int = begun, size: int = size) -> None:
            on_progress(begun + size * done / total)

        made = draw(denoiser, noise, size, generator, steps, on_step=on_step, sampler=sampler, execution=execution)
        yield made.to("cpu")


class _Tally:
    """What has come out so far."""

    def __init__(self, misfit: str | None, novelty: bool) -> None:
        self.misfit = misfit  # the reason of entries that lack the scaffold, None where none is asked for
        self.novelty = novelty  # whether known molecules were named
        self.total = self.valid = self.connected = self.misfits = self.novel = 0
        self.different: set[str] = set()

    def is_new(self, entry: Entry) -> bool:
        """Counts `entry`. False for a valid molecule that has come up before."""
        new = not entry.valid or entry.smiles not in self.different
        self.total += 1
        self.misfits += entry.reason == self.misfit
        self.connected += entry.connected
        self.novel += bool(entry.novel)
        if entry.valid:
            self.valid += 1
            self.different.add(entry.smiles)
        return new

    def __str__(self) -> str:
        misfits = "" if self.misfit is None else f" ({self.misfits:,} without the scaffold)"
        novel = f", {self.novel:,} novel" if self.novelty else ""
        return (
            f"{self.valid:,} valid ({len(self.different):,} different), {self.total - self.valid:,} invalid of "
            f"{self.total:,}{misfits}; {self.connected:,} connected{novel}"
        )


class _Expansion:
    """How many stereoisomers of how many valid molecules were written."""

    def __init__(self) -> None:
        self.molecules = self.isomers = self.cut = 0

    def add(self, entry: Entry, isomers: Stereoisomers | None) -> None:
        if entry.valid and isomers is not None:
            self.molecules += 1
            self.isomers += len(isomers.smiles)
            self.cut += isomers.total != len(isomers.smiles)

    def __str__(self) -> str:
        return f"{self.isomers:,} stereoisomers of {self.molecules:,} molecules ({self.cut:,} have more)"


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

    def reach(self, done: float) -> None:
        """`done` molecules' work is done."""
        self.update(self.task, completed=int(done), speed=f"{done / self.seconds:,.0f}")
