"""A trained model: loading and saving it, and what it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from fedmol import files, zoo
from fedmol.chem.generated_molecules import molecules_of
from fedmol.chem.scaffold_query import ScaffoldQuery, read_scaffold
from fedmol.chem.vocabulary import Vocabulary
from fedmol.data.card import DataCard
from fedmol.diffusion import Likelihood, NoiseModel, samplers
from fedmol.diffusion import sample as draw
from fedmol.diffusion.denoising import Denoises
from fedmol.diffusion.inpainting import Inpainting, between
from fedmol.evaluation.nll import estimate
from fedmol.execution import EAGER, Execution, execution_named
from fedmol.library.arguments import one_of, seed_and_threads, whole, wrong
from fedmol.library.molecule_input import MoleculeInput, Tell, known_smiles, test_graphs, warn
from fedmol.library.molecule_set import Molecules, Origin, joined
from fedmol.ragged import AnyGraphs, RaggedGraphs, ragged
from fedmol.runtime import ended_by_the_system
from fedmol.settings import EvaluationSettings, ExecutionName
from fedmol.shown import plain_lines
from fedmol.training.device import DeviceName, device_named, threads_set
from fedmol.training.model_file import TrainedModel, load_model

SAMPLER = EvaluationSettings().sampler
BLOCK = {"cpu": 4096, "cuda": 65536}  # molecules that are in memory at a time
_SCAFFOLD_STEPS = 60  # to grow around something fixed is harder
_LARGEST_CARD = 1 << 20  # bytes

OnMolecules = Callable[[float, int], None]  # how many molecules' work is done, and of how many


def load(model: str | Path = zoo.DEFAULT, *, device: DeviceName = "auto", execution: ExecutionName = "auto") -> Model:
    """The model that comes with fedmol under a name ("qm9"), or the one in a file that training wrote.

    Args:
        model: a name, which comes first, or a path. Of a file nothing is believed that was not checked.
        device: "cpu", "cuda", or "auto": the GPU where there is one.
        execution: how steps reach a GPU, see `fedmol.execution`; "auto" is the fastest.

    Raises:
        FedmolError: BAD_MODEL if there is no such model or the file is damaged; BAD_SETTINGS where this machine does
            not have the device.

    Example:
        >>> import fedmol
        >>> model = fedmol.load("qm9", device="cpu")
        >>> model.vocabulary.max_atoms  # heavy atoms
        9
    """
    if not isinstance(model, str | Path):
        raise wrong("model", model, f"give a path, or one of {', '.join(zoo.available())}")
    one_of("device", device, get_args(DeviceName))
    one_of("execution", execution, get_args(ExecutionName))
    name = model if isinstance(model, str) and model in zoo.available() else None
    path = Path(model).expanduser() if name is None else zoo.shipped(name)
    place = device_named(device)
    trained = load_model(path).to(place)
    how = execution_named(execution, place, only_eager=trained.denoiser.config.only_eager)
    how.prepare(trained.denoiser)
    return Model(trained, how, _card(path))


def _card(model: Path) -> str | None:
    """The model card beside a file."""
    try:
        return plain_lines(files.read_bytes(model.with_suffix(".md"), _LARGEST_CARD).decode(), _LARGEST_CARD)
    except (OSError, UnicodeDecodeError):
        return None


@dataclass(frozen=True)
class Fit:
    """What a model was trained on by `fedmol.train`."""

    data: DataCard  # what became of every molecule that was given
    molecules: int  # that were trained on
    validation: RaggedGraphs  # that were held out
    steps: int


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A trained generator of molecules, ready to sample; made by `fedmol.load` and `fedmol.train`.

    Example:
        >>> import fedmol
        >>> model = fedmol.load("qm9")
        >>> model
        <Model: preset base, 1,424,012 parameters; up to 9 heavy atoms of C N O F N+ O- N- C- (qm9-charged)>
        >>> print(model.card.splitlines()[0])
        # qm9
    """

    trained: TrainedModel  # the network and its noise, on their device
    execution: Execution = EAGER
    card: str | None = None  # the model card, in Markdown, where there is one beside the file
    fit: Fit | None = None  # of a model that was trained in this process

    @property
    def vocabulary(self) -> Vocabulary:
        """The atoms, bonds and sizes of the molecules that it can draw."""
        return self.trained.vocabulary

    @property
    def meta(self) -> dict[str, Any]:
        """What training wrote into the file beside the model."""
        return self.trained.meta

    @property
    def device(self) -> torch.device:
        return self.trained.noise.size_distribution.device

    @property
    def parameters(self) -> int:
        """How many numbers were trained."""
        return sum(parameter.numel() for parameter in self.trained.denoiser.parameters())

    def save(self, path: str | Path) -> None:
        """Write the model into a `.safetensors` file; `fedmol.load` reads it as it is here.

        Raises:
            FedmolError: USAGE if it cannot be written there; STORAGE where the disk fails.
        """
        try:
            self.trained.save(Path(path))
        except OSError as error:
            raise ended_by_the_system(error) from None

    def sample(
        self,
        count: int = 1000,
        *,
        seed: int = 0,
        scaffold: str | None = None,
        atoms: int | None = None,
        sampler: str = SAMPLER,
        steps: int | None = None,
        known: MoleculeInput | None = None,
        column: str = "smiles",
        threads: int = 1,
        on_progress: OnMolecules | None = None,
        tell: Tell = warn,
    ) -> Molecules:
        """Draw `count` molecules; the valid ones among them are the sequence that is returned.

        Equal arguments give equal molecules on equal devices; a GPU draws other random numbers than a processor.

        Args:
            count: molecules to draw, valid or not.
            scaffold: SMILES that each is to contain; [*] where it may grow, else anywhere. What RDKit does not find it
                in counts as invalid.
            atoms: heavy atoms per molecule; as in the training molecules when left out.
            sampler: "few-step", or "ancestral" as published.
            steps: of sampling; the sampler's own when left out, or 60 with a scaffold.
            known: reference molecules for novelty: a file, a list of SMILES, or "qm9".
            column: of the SMILES in the file of `known`.
            threads: of the processor; more than one rarely helps these small networks.
            on_progress: is told how many molecules are done (a fraction), and of how many.
            tell: is given a line for whatever of `known` is left out; a `DataWarning` says it otherwise.

        Raises:
            FedmolError: USAGE for an argument that cannot be; BAD_SETTINGS for an unknown sampler; BAD_DATA where
                `known` cannot be read.

        Example:
            >>> import fedmol
            >>> model = fedmol.load("qm9")
            >>> pyrroles = model.sample(10, scaffold="c1cc[nH]c1", seed=2)
            >>> all("n" in molecule.smiles for molecule in pyrroles)
            True
        """
        return joined(
            list(
                self.blocks(
                    count,
                    seed=seed,
                    scaffold=scaffold,
                    atoms=atoms,
                    sampler=sampler,
                    steps=steps,
                    known=known,
                    column=column,
                    threads=threads,
                    on_progress=on_progress,
                    tell=tell,
                )
            )
        )

    def blocks(
        self,
        count: int = 1000,
        *,
        seed: int = 0,
        scaffold: str | None = None,
        atoms: int | None = None,
        sampler: str = SAMPLER,
        steps: int | None = None,
        known: MoleculeInput | None = None,
        column: str = "smiles",
        threads: int = 1,
        on_progress: OnMolecules | None = None,
        tell: Tell = warn,
    ) -> Iterator[Molecules]:
        """As `sample`, some thousand molecules at a time: for more than there is memory for.

        Arguments are checked at once, not when the first block is asked for.
        """
        whole("count", count, 1)
        seed_and_threads(seed, threads)
        if steps is not None:
            whole("steps", steps, 1)
        way = samplers.get(sampler)
        around = None if scaffold is None else read_scaffold(scaffold, self.vocabulary)
        denoiser, noise = self._asked(around, atoms)
        steps = steps or (_SCAFFOLD_STEPS if around and way is samplers.FEW_STEP else None)
        jumps = len(way.times(noise.steps, steps)) - 1
        compared = None if known is None else known_smiles(known, column, self.vocabulary, tell)
        origin = Origin(self.vocabulary, way.name, jumps, seed, scaffold, compared is not None)
        generator = torch.Generator(self.device).manual_seed(seed)

        def drawn(size: int, begun: int) -> Molecules:
            def on_step(done: int, total: int) -> None:
                if on_progress is not None:
                    on_progress(begun + size * done / total, count)

            began = time.monotonic()
            with threads_set(threads):
                graphs = draw(
                    denoiser, noise, size, generator, steps, on_step=on_step, sampler=way, execution=self.execution
                ).to("cpu")
            found = molecules_of(graphs, self.vocabulary, compared, around)
            return Molecules(found, ragged(graphs), origin, time.monotonic() - began)

        block = BLOCK[self.device.type]
        return (drawn(min(block, count - begun), begun) for begun in range(0, count, block))

    def nll(
        self,
        molecules: MoleculeInput | None = None,
        *,
        column: str = "smiles",
        most: int = 2048,
        seed: int = 0,
        threads: int = 1,
        tell: Tell = warn,
    ) -> Likelihood:
        """A bound on the negative log-likelihood of real molecules, in nats per molecule: lower is better.

        Args:
            molecules: a file, a list of SMILES, or "qm9" for the test molecules of QM9; when left out, what was held
                out when the model was trained in this process.
            most: molecules, chosen at random, that it is estimated on.

        Raises:
            FedmolError: USAGE without molecules; BAD_DATA, VOCABULARY_DIFFERS if they cannot be used.

        Example:
            >>> import fedmol
            >>> model = fedmol.load("qm9")
            >>> model.nll(["CCO", "CCN", "CC=O"]).molecules
            3
        """
        seed_and_threads(seed, threads)
        whole("most", most, 1)
        if molecules is None and self.fit is None:
            raise wrong("molecules", None, "name some: the model was loaded, and nothing was held out for it")
        graphs: AnyGraphs = (
            self.fit.validation
            if molecules is None and self.fit is not None
            else test_graphs(molecules or (), column, self.vocabulary, tell)
        )
        with threads_set(threads):
            return estimate(self.trained, graphs, most, seed, lambda *_: None)[0]

    def _asked(self, scaffold: ScaffoldQuery | None, atoms: int | None) -> tuple[Denoises, NoiseModel]:
        """The denoiser and the noise for the molecules that are wanted."""
        noise = self.trained.noise
        denoiser: Denoises = self.trained.denoiser
        least, most = 1, noise.max_atoms
        if scaffold is not None:
            denoiser, least = Inpainting(denoiser, scaffold.fragment.to(self.device)), scaffold.fragment.least
        if atoms is not None:
            whole("atoms", atoms, least, most)
        return denoiser, between(noise, atoms or least, atoms or most)

    def __repr__(self) -> str:
        atoms = " ".join(self.vocabulary.atom_labels)
        return (
            f"<Model: preset {self.trained.preset}, {self.parameters:,} parameters; up to {self.vocabulary.max_atoms} "
            f"heavy atoms of {atoms} ({self.vocabulary.name})>"
        )
