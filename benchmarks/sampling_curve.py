"""What each sampling step is worth: `python -m benchmarks.sampling_curve MODEL --known FILE --test FILE --out FOLDER`.

Every point of the curve is written as soon as it is measured, and a point that is there already is not measured again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.chart import sheet
from benchmarks.clock import Clock
from fedmol import files
from fedmol.chem.graphs_to_molecules import Reading, read_graphs
from fedmol.chem.vocabulary import Vocabulary
from fedmol.data.shards import open_shard
from fedmol.diffusion import sample
from fedmol.diffusion.samplers import ANCESTRAL, FEW_STEP, Sampler
from fedmol.evaluation import chemnet
from fedmol.evaluation.distances import distances
from fedmol.evaluation.quality import measure
from fedmol.graphs import Graphs
from fedmol.report.svg_charts import Series, lines
from fedmol.runtime import call
from fedmol.training.model_file import TrainedModel, load_model

_STEPS = {ANCESTRAL: (5, 10, 15, 25, 50, 100, 250, 500), FEW_STEP: (5, 10, 15, 25, 50, 100)}
_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class Point:
    """The molecules of one sampler in one number of steps. Shares, but for the speed and the distances."""

    sampler: str
    steps: int
    samples: int
    per_second: float  # molecules per processor second, without looking at them
    validity: float
    relaxed_validity: float
    connected: float
    uniqueness: float  # of the valid ones
    novelty: float  # of the different valid ones
    in_test: float  # likewise
    fcd: float | None
    distances: dict[str, float]  # total variation, by name of the distribution


class Judge:
    """The molecules that generated ones are compared with."""

    def __init__(self, test: Graphs, known: Iterable[str], vocabulary: Vocabulary, fcd: bool) -> None:
        self.test, self.known, self.vocabulary = test, set(known), vocabulary
        smiles = _valid(read_graphs(test, vocabulary))
        self.smiles = set(smiles)
        self.activations = _activations(smiles) if fcd else None

    def point(self, sampler: Sampler, steps: int, graphs: Graphs, seconds: float) -> Point:
        """The figures of `graphs`, which took so many seconds."""
        readings = read_graphs(graphs, self.vocabulary)
        quality, valid = measure(readings, self.known), _valid(readings)
        return Point(
            sampler=sampler.name,
            steps=steps,
            samples=len(readings),
            per_second=len(readings) / seconds,
            validity=quality.validity.share,
            relaxed_validity=quality.relaxed_validity.share,
            connected=quality.connected.share,
            uniqueness=quality.uniqueness_strict.share,
            novelty=quality.novelty_strict.share,
            in_test=len(set(valid) & self.smiles) / max(1, len(set(valid))),
            fcd=None if self.activations is None else chemnet.frechet(_activations(valid), self.activations),
            distances={
                distance.name: distance.total_variation for distance in distances(graphs, self.test, self.vocabulary)
            },
        )


def _valid(readings: Iterable[Reading]) -> list[str]:
    return [reading.smiles for reading in readings if reading.smiles is not None]


def _activations(smiles: list[str]) -> chemnet.Activations:
    return chemnet.activations(smiles, [1] * len(smiles), lambda _: None)


def draw(model: TrainedModel, sampler: Sampler, steps: int, samples: int) -> tuple[Graphs, float]:
    """Molecules with the seed 0, and the processor seconds they took."""
    made: list[Graphs] = []
    generator = torch.Generator().manual_seed(0)
    seconds = Clock(torch.device("cpu")).time(
        lambda: made.append(sample(model.denoiser, model.noise, samples, generator, steps=steps, sampler=sampler))
    )
    return made[0], seconds


class Curve:
    """The points that are known of one model, kept in a file."""

    def __init__(self, path: Path, model: Path, samples: int) -> None:
        self.path = path
        self.of = {"model": hashlib.sha256(model.read_bytes()).hexdigest(), "samples": samples}
        found = json.loads(path.read_text()) if path.exists() else {}
        same = {key: found.get(key) for key in self.of} == self.of
        self.points = [Point(**point) for point in found["points"]] if same else []

    def has(self, sampler: Sampler, steps: int) -> bool:
        return any((point.sampler, point.steps) == (sampler.name, steps) for point in self.points)

    def add(self, point: Point) -> None:
        self.points.append(point)
        document = {**self.of, "points": [asdict(point) for point in self.points]}
        files.write_text(self.path, json.dumps(document, indent=1) + "\n")


def drawing(points: list[Point]) -> str:
    """The figures over the steps, one line for each sampler."""
    panels: dict[str, Callable[[Point], float | None]] = {
        "Valid": lambda point: point.validity,
        "Connected": lambda point: point.connected,
        "Different, of the valid ones": lambda point: point.uniqueness,
        "Among the test molecules": lambda point: point.in_test,
        "Total variation of rings per molecule": lambda point: point.distances["rings"],
        "FCD": lambda point: point.fcd,
        "Molecules per CPU-second": lambda point: point.per_second,
    }
    steps = sorted({point.steps for point in points})
    names = list(dict.fromkeys(point.sampler for point in points))
    by_place = {(point.sampler, point.steps): point for point in points}

    def series(tone: int, name: str, figure: Callable[[Point], float | None]) -> Series:
        values = [figure(by_place[name, at]) if (name, at) in by_place else None for at in steps]
        return Series(name, values, tone)

    return sheet(
        [
            lines(title, steps, [series(tone, name, figure) for tone, name in enumerate(names)], "steps", "", log=True)
            for title, figure in panels.items()
            if any(figure(point) is not None for point in points)
        ]
    )


def table(points: list[Point]) -> Table:
    """The same to read."""
    shown = Table("sampler", "steps", "per CPU-s", "valid", "connected", "unique", "novel", "in test", "rings", "FCD")
    for measured in sorted(points, key=lambda point: (point.sampler, point.steps)):
        shares = (measured.validity, measured.connected, measured.uniqueness, measured.novelty, measured.in_test)
        shown.add_row(
            measured.sampler,
            str(measured.steps),
            f"{measured.per_second:,.1f}",
            *(f"{share:.4f}" for share in shares),
            f"{measured.distances['rings']:.4f}",
            "" if measured.fcd is None else f"{measured.fcd:.3f}",
        )
    return shown


@click.command("sampling_curve", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=_PATH)
@click.option("--known", type=_PATH, required=True, help="the molecules that were trained on, CSV or SMILES file")
@click.option("--test", type=_PATH, required=True, help="real molecules that were not, CSV or SMILES file")
@click.option("--column", default="smiles", show_default=True, help="column of the SMILES in CSV files")
@click.option("--samples", default=2000, show_default=True, type=click.IntRange(min=1), help="molecules per point")
@click.option("--fcd/--no-fcd", default=True, show_default=True, help="measure the Frechet ChemNet distance, too")
@click.option("--out", default=Path("bench"), show_default=True, type=_PATH, help="folder")
def sampling_curve(model: Path, known: Path, test: Path, column: str, samples: int, fcd: bool, out: Path) -> None:
    """Quality and speed of the samplers over their number of steps, with the molecules of MODEL."""
    torch.set_num_threads(1)
    console, trained = Console(), load_model(model)
    vocabulary = trained.vocabulary
    real, seen = (open_shard(path, column, vocabulary, 0.0) for path in (test, known))
    curve, judge = Curve(out / "sampling_curve.json", model, samples), Judge(real.graphs, seen.smiles, vocabulary, fcd)
    for sampler, many in _STEPS.items():
        for steps in many:
            if not curve.has(sampler, steps):
                console.print(f"{sampler.name}, {steps} steps")
                curve.add(judge.point(sampler, steps, *draw(trained, sampler, steps, samples)))
    files.write_text(out / "sampling_curve.svg", drawing(curve.points))
    console.print(table(curve.points))
    console.print(f"written: {curve.path} and .svg")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(call(sampling_curve, sys.argv[1:], "sampling_curve"))
