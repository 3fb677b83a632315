"""The evaluation of a model, or of a file of molecules: what the result is, and how it is made."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError

from fedmol import files
from fedmol.chem.graphs_to_molecules import Reading, read_graphs
from fedmol.chem.smiles_to_graphs import encode
from fedmol.chem.vocabulary import Vocabulary
from fedmol.data.molecule_files import Table
from fedmol.diffusion import Likelihood, sample, samplers
from fedmol.documents import DocumentError, read_json
from fedmol.errors import Exit, FedmolError
from fedmol.evaluation.distances import Distance, distances
from fedmol.evaluation.nll import estimate
from fedmol.evaluation.quality import Quality, measure
from fedmol.evaluation.resemblance import Progress, Resemblance, resemblance
from fedmol.evaluation.smiles import Contents, read_rows
from fedmol.formats import fixed, interval, number, percent
from fedmol.graphs import Graphs
from fedmol.settings import EvaluationSettings
from fedmol.training.model_file import TrainedModel

_EXAMPLES = 48
_LARGEST = 4 * 2**20  # bytes of an evaluation


@dataclass(frozen=True)
class Example:
    """One generated molecule to show."""

    smiles: str
    novel: bool


@dataclass(frozen=True)
class Evaluation:
    """What was measured, on how many molecules."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        ser_json_inf_nan="strings"
    )  # a diverged model has a NLL, too

    vocabulary: str
    samples: int
    known: int  # different molecules that novelty is counted against; 0 if none were named
    test: int  # real molecules that NLL and distances are measured on; 0 if none were named
    seed: int | None  # None where the molecules came from a file
    sampling_steps: int | None
    sampling_seconds: float | None
    likelihood: Likelihood | None
    nll_blocks: tuple[float, ...]  # published NLL of equal parts of the test molecules, see `estimate`
    quality: Quality
    distances: tuple[Distance, ...]
    examples: tuple[Example, ...]  # the first different, strictly valid samples
    resemblance: Resemblance | None = None  # None without test molecules
    sampler: str | None = None  # None where the molecules came from a file
    contents: Contents | None = None  # of the file that the molecules came from, None if from a model
    fitting: int | None = None  # valid molecules of that file that the vocabulary holds: distances are theirs alone

    def __str__(self) -> str:
        """The main figures, a line each, with 95 % intervals and beside each what as many real molecules would show."""
        quality, found = self.quality, self.likelihood
        rates = [
            ("validity", quality.validity, "of all molecules"),
            ("connected", quality.connected, "of all molecules"),
            ("uniqueness", quality.uniqueness_strict, "of the valid ones"),
            *([("novelty", quality.novelty_strict, "of the different valid ones")] if self.known else []),
        ]
        lines = [f"{name:<18}{percent(rate.share)} ({interval(rate.interval)}) {of}" for name, rate, of in rates]
        if found is not None:
            error = fixed(1.96 * found.standard_error)
            lines.append(f"{'NLL':<18}{found.published:.2f} ± {error} nats per molecule, by the published definition")
        for figure in self.resemblance.figures if self.resemblance else ():
            real = "" if figure.by_chance is None else f" (real molecules: {fixed(figure.by_chance, 3)})"
            lines.append(f"{figure.name:<18}{fixed(figure.value, 3)}{real}")
        return "\n".join([number(self.samples, "molecule"), *(f"  {line}" for line in lines)])

    def to_json(self) -> str:
        """The evaluation as JSON, which `from_json` and `fedmol.evaluation.read_evaluation` read."""
        return _ADAPTER.dump_json(self, indent=1).decode()

    @staticmethod
    def from_json(text: str, origin: str = "this text") -> Evaluation:
        """The evaluation that `to_json` wrote; `origin` names it in the message.

        Raises:
            FedmolError: BAD_DATA if it is none.
        """
        try:
            return _ADAPTER.validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise FedmolError(
                Exit.BAD_DATA,
                f"{origin} is not an evaluation: {where}: {first['msg']}",
                "make it again: fedmol evaluate",
            ) from None


def read_evaluation(path: Path, follow: bool = False) -> Evaluation:
    """The evaluation in a file, which may be a symbolic link where somebody has named it.

    Raises:
        FedmolError: BAD_DATA if it is none, or cannot be read.
    """
    try:
        text = read_json(path, _LARGEST, follow).decode()
    except (OSError, DocumentError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise FedmolError(
            Exit.BAD_DATA, f"{path} is not an evaluation: {why}", "make it again: fedmol evaluate"
        ) from None
    return Evaluation.from_json(text, str(path))


_ADAPTER = TypeAdapter(Evaluation)


def evaluate(
    model: TrainedModel,
    test: Graphs | None,
    known: Collection[str],
    settings: EvaluationSettings,
    seed: int,
    on_progress: Progress | None = None,
    samples_path: Path | None = None,
) -> Evaluation:
    """Sample from the model where it is, look at the samples, and estimate the likelihood of the test molecules.

    `known` holds the canonical SMILES that the model was trained on. The same seed asks two models about the same test
    molecules at the same noise levels. Valid samples go to `samples_path`, one SMILES per line, in order.
    """
    report = on_progress or (lambda *_: None)
    vocabulary = model.vocabulary
    sampler = samplers.get(settings.sampler)
    began = time.monotonic()
    graphs = sample(
        model.denoiser,
        model.noise,
        settings.samples,
        torch.Generator(model.noise.size_distribution.device).manual_seed(seed),
        steps=settings.sampling_steps,
        on_step=lambda done, total: report("sampling", done, total),
        sampler=sampler,
    ).to("cpu")
    seconds = time.monotonic() - began
    steps = len(sampler.times(model.noise.steps, settings.sampling_steps)) - 1
    readings = read_graphs(graphs, vocabulary)
    if samples_path is not None:
        files.write_text(
            samples_path,
            "".join(f"{reading.smiles}\n" for reading in readings if reading.smiles is not None),
            files.GROUP,
        )
    likelihood: Likelihood | None = None
    blocks: tuple[float, ...] = ()
    if test is not None:
        likelihood, blocks = estimate(
            model, test, settings.nll_molecules, seed, lambda done, total: report("likelihood", done, total)
        )
    drawn = Drawn(readings, graphs, vocabulary, sampler.name, steps, seed, seconds)
    return replace(evaluate_drawn(drawn, test, known, report), likelihood=likelihood, nll_blocks=blocks)


@dataclass(frozen=True)
class Drawn:
    """What was drawn from a model, with one reading per graph, and how."""

    readings: Sequence[Reading]
    graphs: Graphs
    vocabulary: Vocabulary
    sampler: str
    steps: int
    seed: int
    seconds: float


def evaluate_drawn(
    drawn: Drawn, test: Graphs | None, known: Collection[str], on_progress: Progress | None = None
) -> Evaluation:
    """The evaluation of what was drawn, without the likelihood, for which it takes the model."""
    report = on_progress or (lambda *_: None)
    return Evaluation(
        vocabulary=drawn.vocabulary.name,
        samples=len(drawn.readings),
        known=len(known),
        test=0 if test is None else len(test),
        seed=drawn.seed,
        sampling_steps=drawn.steps,
        sampler=drawn.sampler,
        sampling_seconds=drawn.seconds,
        likelihood=None,
        nll_blocks=(),
        quality=measure(drawn.readings, known),
        distances=() if test is None else distances(drawn.graphs, test, drawn.vocabulary),
        examples=examples(drawn.readings, known),
        resemblance=_resemblance(drawn.readings, test, known, drawn.vocabulary, report),
    )


def evaluate_table(
    table: Table,
    test: Graphs | None,
    known: Collection[str],
    vocabulary: Vocabulary,
    on_progress: Progress | None = None,
) -> Evaluation:
    """The evaluation of molecules that came as SMILES: no likelihood, and validity is that of the text.

    Distances are measured on the molecules that fit the vocabulary.
    """
    report = on_progress or (lambda *_: None)
    readings, contents = read_rows(table)
    fitting = encode([reading.smiles for reading in readings if reading.smiles is not None], vocabulary)
    return Evaluation(
        vocabulary=vocabulary.name,
        samples=len(readings),
        known=len(known),
        test=0 if test is None else len(test),
        seed=None,
        sampling_steps=None,
        sampling_seconds=None,
        likelihood=None,
        nll_blocks=(),
        quality=measure(readings, known),
        distances=() if test is None or not fitting.smiles else distances(fitting.graphs, test, vocabulary),
        examples=examples(readings, known),
        resemblance=_resemblance(readings, test, known, vocabulary, report),
        contents=contents,
        fitting=len(fitting.smiles),
    )


def _resemblance(
    readings: Sequence[Reading], test: Graphs | None, known: Collection[str], vocabulary: Vocabulary, report: Progress
) -> Resemblance | None:
    generated = [reading.smiles for reading in readings if reading.smiles is not None]
    real = [] if test is None else [graph.smiles for graph in read_graphs(test, vocabulary) if graph.smiles is not None]
    return resemblance(generated, real, known, report)


def examples(readings: Sequence[Reading], known: Collection[str]) -> tuple[Example, ...]:
    """The first different, strictly valid molecules."""
    distinct = list(dict.fromkeys(reading.smiles for reading in readings if reading.smiles is not None))[:_EXAMPLES]
    return tuple(Example(smiles, smiles not in known) for smiles in distinct)
