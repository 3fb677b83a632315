"""Measuring a model, what it drew, or molecules that any system made."""

from __future__ import annotations

from pathlib import Path

from fedmol import zoo
from fedmol.chem.graphs_to_molecules import Reading
from fedmol.chem.vocabulary import Recipe, Vocabulary
from fedmol.data.molecule_files import Table, read_table
from fedmol.evaluation import Evaluation
from fedmol.evaluation import evaluation as measuring
from fedmol.evaluation.resemblance import Progress
from fedmol.library.arguments import seed_and_threads, whole, wrong
from fedmol.library.model import SAMPLER, Model, load
from fedmol.library.molecule_input import (
    MoleculeInput,
    Tell,
    known_smiles,
    table_of,
    test_graphs,
    vocabulary_of,
    warn,
)
from fedmol.library.molecule_set import Molecules
from fedmol.settings import EvaluationSettings
from fedmol.training.device import threads_set


def evaluate(
    subject: Model | Molecules | MoleculeInput,
    *,
    test: MoleculeInput | None = None,
    known: MoleculeInput | None = None,
    column: str = "smiles",
    vocabulary: str | Path | Vocabulary | None = None,
    standardise: Recipe = "none",
    samples: int = 1000,
    sampler: str = SAMPLER,
    steps: int | None = None,
    nll_molecules: int = EvaluationSettings().nll_molecules,
    seed: int = 0,
    threads: int = 1,
    samples_out: str | Path | None = None,
    on_progress: Progress | None = None,
    tell: Tell = warn,
) -> Evaluation:
    """Validity, uniqueness, novelty; with test molecules also distances, KL score, FCD, SNN; of a model also the NLL.

    Args:
        subject: a model, which is sampled; what a model drew; or any molecules: a file, a list of SMILES or of RDKit's
            molecules, "qm9" for the model of that name.
        test: real molecules that were not trained on: a file, a list, "qm9" for what `fedmol run` holds out of QM9,
            "qm9-digress" for DiGress's test set.
        known: the molecules that were trained on, for novelty; the same names are those sets' training molecules. QM9
            is looked for in the folder FEDMOL_DATA and in the cache, and downloaded otherwise.
        column: of the SMILES in tables.
        vocabulary: in whose graphs distances are measured, see `train`; models, and what they drew, have their own.
        standardise: as for `train`, of molecules without a model.
        samples: molecules to draw, for a model.
        sampler, steps: how, see `Model.sample`.
        nll_molecules: test molecules that the NLL of a model is estimated on.
        seed: of what is drawn.
        threads: of the processor.
        samples_out: file for the valid molecules of a model, one SMILES per line.
        on_progress: is told (what is being done, molecules done, of how many).
        tell: is given a line for whatever of `test` or `known` is left out; a `DataWarning` says it otherwise.

    Returns:
        The figures, each share with its counts and its interval. `str` shows the main ones; `to_json` gives them all.

    Raises:
        FedmolError: BAD_DATA, VOCABULARY_DIFFERS if molecules cannot be used; USAGE for an argument that cannot be.

    Example:
        >>> import fedmol
        >>> found = fedmol.evaluate(["CCO", "OCC", "CCN", "C(("], known=["CCO"])
        >>> found.quality.validity.count, found.quality.uniqueness_strict.count, found.quality.novelty_strict.count
        (3, 2, 1)
    """
    seed_and_threads(seed, threads)
    whole("samples", samples, 1)
    whole("nll_molecules", nll_molecules, 1)
    if steps is not None:
        whole("steps", steps, 1)
    if isinstance(subject, str | Path) and is_model(subject):
        subject = load(subject)
    if isinstance(subject, Model):
        types = subject.vocabulary
    elif isinstance(subject, Molecules):
        types = subject.origin.vocabulary
    else:
        types = vocabulary_of(vocabulary, standardise)
    if vocabulary is not None and isinstance(subject, Model | Molecules):
        raise wrong("vocabulary", vocabulary, "leave it out: a model, and what it drew, have their own")
    table = None if isinstance(subject, Model | Molecules) else _table(subject, column)  # before the slower ones
    real = None if test is None else test_graphs(test, column, types, tell)
    trained_on = () if known is None else known_smiles(known, column, types, tell)
    with threads_set(threads):
        if table is not None:
            return measuring.evaluate_table(table, real, trained_on, types, on_progress)
        if isinstance(subject, Molecules):
            return measuring.evaluate_drawn(_drawn(subject), real, trained_on, on_progress)
        assert isinstance(subject, Model)
        settings = EvaluationSettings(
            samples=samples, sampler=sampler, sampling_steps=steps, nll_molecules=nll_molecules
        )
        out = None if samples_out is None else Path(samples_out)
        return measuring.evaluate(subject.trained, real, trained_on, settings, seed, on_progress, out)


def is_model(subject: str | Path) -> bool:
    """True for the name of a model, and for a file that is one by its suffix."""
    return str(subject) in zoo.available() or Path(subject).suffix.lower() == ".safetensors"


def _table(molecules: MoleculeInput, column: str) -> Table:
    table = table_of(molecules)
    return table if isinstance(table, Table) else read_table(Path(table), column, zoo.available())


def _drawn(molecules: Molecules) -> measuring.Drawn:
    """What lacks the scaffold that was asked for counts as invalid here, too."""
    readings = [
        Reading(
            molecule.smiles if molecule.valid else None,
            molecule.smiles if molecule.relaxed else None,
            molecule.connected,
        )
        for molecule in molecules.drawn
    ]
    origin = molecules.origin
    return measuring.Drawn(
        readings,
        molecules.graphs.dense(),
        origin.vocabulary,
        origin.sampler,
        origin.steps,
        origin.seed,
        molecules.seconds,
    )
