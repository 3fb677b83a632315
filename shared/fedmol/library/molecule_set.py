"""Molecules that a model drew: how many are valid, and writing them into a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

from fedmol import files
from fedmol.chem.generated_molecules import NO_SCAFFOLD, Molecule
from fedmol.chem.molecule_writers import listing
from fedmol.chem.stereo import MOST, Stereoisomers
from fedmol.chem.vocabulary import Vocabulary
from fedmol.library.arguments import whole
from fedmol.ragged import RaggedGraphs, concatenated
from fedmol.runtime import ended_by_the_system


@dataclass(frozen=True)
class Origin:
    """How molecules were drawn."""

    vocabulary: Vocabulary
    sampler: str
    steps: int
    seed: int
    scaffold: str | None
    compared: bool  # with known molecules, so that each says whether it is novel


class Molecules(Sequence[Molecule]):
    """What a model drew: as a sequence, its valid molecules, in the order in which they were drawn.

    `str` of it says how many were valid, unique, connected and, where known molecules were named, novel.

    Example:
        >>> import fedmol
        >>> molecules = fedmol.load("qm9").sample(20, seed=1)
        >>> len(molecules.drawn)
        20
        >>> len(molecules) == len(molecules.smiles) == 20 - len(molecules.invalid)
        True
        >>> all(molecule.valid for molecule in molecules)
        True
    """

    def __init__(self, drawn: Sequence[Molecule], graphs: RaggedGraphs, origin: Origin, seconds: float) -> None:
        self.drawn = tuple(drawn)  # all of them, valid or not
        self.graphs = graphs  # of `drawn`, in the codes of `origin.vocabulary`
        self.origin = origin
        self.seconds = seconds  # that drawing took
        self._valid = tuple(molecule for molecule in self.drawn if molecule.valid)

    @property
    def smiles(self) -> tuple[str, ...]:
        """Canonical SMILES of the valid molecules, without stereo."""
        return tuple(molecule.smiles for molecule in self._valid)

    @property
    def unique(self) -> tuple[str, ...]:
        """The same, each only the first time it came up."""
        return tuple(dict.fromkeys(self.smiles))

    @property
    def invalid(self) -> tuple[Molecule, ...]:
        """The molecules that are not valid, each with its `reason`."""
        return tuple(molecule for molecule in self.drawn if not molecule.valid)

    @cached_property
    def tally(self) -> Tally:
        """The counts that `str` shows."""
        tally = Tally()
        tally.begin(self.origin)
        for molecule in self.drawn:
            tally.is_new(molecule)
        return tally

    def save(self, path: str | Path, *, unique: bool = False, stereo: int | None = None) -> None:
        """Write the molecules into a file: `.smi`, `.csv` (the invalid ones too, with the reason) or `.sdf` (in 2D).

        With `unique` each is written the first time only; with `stereo`, up to so many of its stereoisomers.

        Raises:
            FedmolError: USAGE for another suffix, or a place that cannot be written to; STORAGE where the disk fails.
        """
        try:
            write(Path(path), [self], unique=unique, stereo=stereo)
        except OSError as error:
            raise ended_by_the_system(error) from None

    def __len__(self) -> int:
        return len(self._valid)

    @overload
    def __getitem__(self, index: int) -> Molecule: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Molecule, ...]: ...
    def __getitem__(self, index: int | slice) -> Molecule | tuple[Molecule, ...]:
        return self._valid[index]

    def __str__(self) -> str:
        return str(self.tally)

    def __repr__(self) -> str:
        return f"<Molecules: {self.tally}>"


def joined(parts: Sequence[Molecules]) -> Molecules:
    """All molecules of `parts`, at least one, as if they had been drawn at once."""
    drawn = [molecule for part in parts for molecule in part.drawn]
    graphs = concatenated([part.graphs for part in parts])
    return Molecules(drawn, graphs, parts[0].origin, sum(part.seconds for part in parts))


@dataclass
class Tally:
    """What has been drawn so far."""

    scaffold: bool = False  # whether one was asked for
    novelty: bool = False  # whether known molecules were named
    total: int = 0
    valid: int = 0
    connected: int = 0
    misfits: int = 0  # valid but for the scaffold
    novel: int = 0
    unique: set[str] = field(default_factory=set)

    def begin(self, origin: Origin) -> None:
        """What comes now was drawn so."""
        self.scaffold, self.novelty = origin.scaffold is not None, origin.compared

    def is_new(self, molecule: Molecule) -> bool:
        """Count a molecule. False for a valid one that has come up before."""
        new = not molecule.valid or molecule.smiles not in self.unique
        self.total += 1
        self.misfits += self.scaffold and molecule.reason == NO_SCAFFOLD
        self.connected += molecule.connected
        self.novel += bool(molecule.novel)
        if molecule.valid:
            self.valid += 1
            self.unique.add(molecule.smiles)
        return new

    def __str__(self) -> str:
        misfits = f" ({self.misfits:,} without the scaffold)" if self.scaffold else ""
        novel = f", {self.novel:,} novel" if self.novelty else ""
        return (
            f"{self.valid:,} valid ({len(self.unique):,} unique), {self.total - self.valid:,} invalid of "
            f"{self.total:,}{misfits}; {self.connected:,} connected{novel}"
        )


@dataclass
class Expansion:
    """How many stereoisomers of how many valid molecules were written."""

    molecules: int = 0
    isomers: int = 0
    cut: int = 0  # molecules that have more of them

    def add(self, molecule: Molecule, isomers: Stereoisomers) -> None:
        if molecule.valid:
            self.molecules += 1
            self.isomers += len(isomers.smiles)
            self.cut += isomers.total != len(isomers.smiles)

    def __str__(self) -> str:
        return f"{self.isomers:,} stereoisomers of {self.molecules:,} molecules ({self.cut:,} have more)"


def write(
    path: Path, blocks: Iterable[Molecules], *, unique: bool = False, stereo: int | None = None
) -> tuple[Tally, Expansion]:
    """Write blocks that were drawn alike into one file, each as it comes; whole or not at all. What was counted.

    Raises:
        OSError: see `fedmol.files.replacing`.
        FedmolError: USAGE, see `Molecules.save`.
    """
    if stereo is not None:
        whole("stereo", stereo, 1, MOST)
    form, tally, expansion = listing(path, stereo=stereo is not None), Tally(), Expansion()
    with files.replacing(path) as file:
        file.write(form.head.encode())
        for block in blocks:
            tally.begin(block.origin)
            for molecule in block.drawn:
                if tally.is_new(molecule) or not unique:
                    isomers = None if stereo is None else molecule.stereoisomers(stereo)
                    if isomers is not None:
                        expansion.add(molecule, isomers)
                    file.write(form.rows(molecule, isomers).encode())
    return tally, expansion
