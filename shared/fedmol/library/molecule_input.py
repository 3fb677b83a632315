"""Molecules that somebody brings along: a file, a public set by its name, or a list in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rdkit import Chem

from fedmol.chem.generated_molecules import Molecule
from fedmol.chem.vocabulary import RECIPES, Recipe, Vocabulary
from fedmol.data.card import left_out
from fedmol.data.molecule_files import Table
from fedmol.errors import bad_data
from fedmol.evaluation.reference_molecules import real_molecules, training_molecules
from fedmol.graphs import Graphs
from fedmol.library.arguments import one_of, wrong
from fedmol.settings import ModelSettings, vocabulary_named

MoleculeInput = str | Path | Iterable[str | Molecule | Chem.Mol]
Tell = Callable[[str], None]  # is given a line for whatever is left out

_IN_MEMORY = "memory"


class DataWarning(UserWarning):
    """Some of the molecules that were given are left out, or are used without their stereo, charges or the like."""


def warn(line: str) -> None:
    """What the library does with such a line where nobody asked to be told otherwise."""
    warnings.warn(line, DataWarning, stacklevel=4)


def table_of(molecules: MoleculeInput) -> Table | str:
    """The rows of a list in memory, with their positions from 1 in place of lines; a name or a path as it is.

    Raises:
        FedmolError: BAD_DATA if there is nothing in it; USAGE if it is neither.
    """
    if isinstance(molecules, str | Path):
        return str(Path(molecules).expanduser()) if str(molecules).startswith("~") else str(molecules)
    if not isinstance(molecules, Iterable):
        raise wrong("molecules", molecules, "give the path of a file, or a list of SMILES")
    texts = [_smiles(given) for given in molecules]
    if not texts:
        raise bad_data("there are no molecules in what was given", "give at least one")
    faults = {row: f"not a SMILES but of the type {text}" for row, (text, fits) in enumerate(texts) if not fits}
    smiles = tuple(text if fits else "" for text, fits in texts)
    return Table(_IN_MEMORY, "", smiles, range(1, len(smiles) + 1), faults)


def _smiles(given: Any) -> tuple[str, bool]:
    """A SMILES and True, or the name of another type and False."""
    if isinstance(given, Molecule):
        return given.smiles, True
    if isinstance(given, Chem.Mol):
        return str(Chem.MolToSmiles(given)), True
    return (given, True) if isinstance(given, str) else (type(given).__name__, False)


def vocabulary_of(vocabulary: str | Path | Vocabulary | None, standardise: Recipe) -> Vocabulary:
    """The vocabulary that is meant, the settings' own where none is named, with the recipe."""
    one_of("standardise", standardise, RECIPES)
    return replace(vocabulary_named(vocabulary or str(ModelSettings().vocabulary)), recipe=standardise)


def test_graphs(test: MoleculeInput, column: str, vocabulary: Vocabulary, tell: Tell) -> Graphs:
    """Real molecules that a model is measured on."""
    real = real_molecules(table_of(test), column, vocabulary)
    for line in left_out(real.card):
        tell(f"test molecules: {line}")
    return real.graphs


def known_smiles(known: MoleculeInput, column: str, vocabulary: Vocabulary, tell: Tell) -> Collection[str]:
    """Molecules that novelty is told by."""
    return training_molecules(table_of(known), column, vocabulary, tell)
