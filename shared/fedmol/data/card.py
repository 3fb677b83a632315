"""The data card: what a shard holds, and what became of every row of its source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedmol.chem.molecule_codes import TOO_LARGE, UNKNOWN_CHARGE, UNKNOWN_ELEMENT
from fedmol.chem.normal_form import AROMATIC, FRAGMENTS, INCHI, INCHI_KEY, REACTION, SYNTAX, TEXT_AFTER
from fedmol.chem.vocabulary import Recipe, Vocabulary
from fedmol.data.delimited import QUOTES
from fedmol.documents import DocumentError, read_json
from fedmol.errors import Exit, FedmolError
from fedmol.formats import number
from fedmol.ragged import RaggedGraphs

EXAMPLES = 5


_CURES = {  # by reason; what holds for every reason is said where there is none of these
    SYNTAX: "check that the column holds SMILES, not names or numbers (--column on the command line, data.column in "
    "the settings), and correct or remove these rows",
    INCHI: "name a column with SMILES (--column, data.column), or convert InChI to SMILES, with RDKit or Open Babel",
    INCHI_KEY: "name a column with SMILES (--column, data.column): an InChIKey does not hold the structure",
    AROMATIC: "write single and double bonds, with charges, in place of aromatic ones",
    QUOTES: "put every cell into quotes, and double those within (csv.QUOTE_ALL in Python)",
    REACTION: "write the molecules of reactions one to a row",
    FRAGMENTS: "data.standardise: parent in the settings (fedmol run: --set data.standardise=parent; other commands: "
    "--standardise parent) removes counter-ions",
    TEXT_AFTER: "separate columns by commas or tabs, or name a file of SMILES and names .smi",
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rejection(_Section):
    count: int = Field(gt=0)
    lines: tuple[int, ...]  # the first few, counted from 1 in the source

    @classmethod
    def of(cls, lines: Sequence[int]) -> Self:
        """Of the rows on these lines."""
        return cls(count=len(lines), lines=tuple(lines[:EXAMPLES]))

    @property
    def listed(self) -> str:
        """The first lines, and whether there are more."""
        return ", ".join(map(str, self.lines)) + (", ..." if self.count > len(self.lines) else "")

    @property
    def where(self) -> str:
        return f"line{'s' if self.count > 1 else ''} {self.listed}"


class ScaffoldCount(_Section):
    smiles: str  # "" stands for molecules without a ring
    count: int = Field(gt=0)


class DataCard(_Section):
    """Counts of a shard; `read == kept + duplicates + rejected_rows + blank` always holds.

    A molecule that occurs more than once in the source is kept once; the others count as duplicates. Those of them that
    differ from the one that is kept, in the stereo or the isotopes that fedmol drops or in what the recipe changes, are
    `alike`. The card names its largest scaffolds, so it is as confidential as the shard: fedmol sends it nowhere.
    """

    source: str
    column: str
    vocabulary: str
    vocabulary_digest: str
    recipe: Recipe = "none"
    read: int
    kept: int
    duplicates: int
    alike: int = 0  # of the duplicates
    blank: int = 0
    dropped: dict[str, int] = {}  # stereo, isotopes, ... -> molecules that are kept without it
    changed: dict[str, int] = {}  # charges neutralised, ... -> molecules that are kept in this form
    rejected: dict[str, Rejection]
    sizes: dict[int, int]  # heavy atoms -> molecules
    atoms: dict[str, int]  # atom type -> atoms
    bonds: dict[str, int]  # bond type -> bonds
    scaffolds: int  # different Murcko scaffolds, molecules without a ring being one of them
    largest_scaffolds: tuple[ScaffoldCount, ...]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        parts = self.kept, self.duplicates, self.rejected_rows, self.blank
        if self.read != sum(parts):
            raise ValueError(f"{self.read} rows read are not {' + '.join(map(str, parts))}")
        return self

    @property
    def rejected_rows(self) -> int:
        return sum(rejection.count for rejection in self.rejected.values())

    @property
    def foreign_rows(self) -> int:
        """Rows rejected for atoms, charges or sizes that the vocabulary does not have."""
        foreign = UNKNOWN_ELEMENT, UNKNOWN_CHARGE, TOO_LARGE
        return sum(rejection.count for reason, rejection in self.rejected.items() if reason.startswith(foreign))

    @property
    def likeness(self) -> str:
        """In what molecules may differ that are one graph."""
        return "stereo or isotopes" + ("" if self.recipe == "none" else ", or in what the recipe standardises")

    def to_json(self) -> str:
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The card that `to_json` wrote.

        Raises:
            FedmolError: BAD_DATA if it is none.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise FedmolError(
                Exit.BAD_DATA,
                f"this is not a data card: {error.error_count()} wrong entries",
                "make the card again: fedmol data card FILE",
            ) from None


def read_card(path: Path) -> DataCard:
    """The card in a file.

    Raises:
        FedmolError: BAD_DATA if it is none, or cannot be read.
    """
    try:
        return DataCard.from_json(read_json(path).decode())
    except (OSError, DocumentError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise FedmolError(
            Exit.BAD_DATA, f"{path} is not a data card: {why}", "make the card again: fedmol data card FILE"
        ) from None


def counts(graphs: RaggedGraphs, vocabulary: Vocabulary) -> tuple[dict[int, int], dict[str, int], dict[str, int]]:
    """Molecules by size, atoms by type, bonds by type; types that do not occur are left out."""
    atoms = torch.bincount(graphs.atoms, minlength=len(vocabulary.atoms)).tolist()
    bonds = torch.bincount(graphs.bonds[:, 0], minlength=len(vocabulary.bonds)).tolist()
    sizes = Counter(graphs.counts.tolist())
    return (
        dict(sorted(sizes.items())),
        {label: n for label, n in zip(vocabulary.atom_labels, atoms, strict=True) if n},
        {name: n for name, n in zip(vocabulary.bonds, bonds, strict=True) if n},
    )


def largest_scaffolds(scaffolds: Iterable[str]) -> tuple[int, tuple[ScaffoldCount, ...]]:
    """How many different Murcko scaffolds there are, and the ten most frequent."""
    tally = Counter(scaffolds)
    first = sorted(tally.items(), key=lambda item: (-item[1], item[0]))[:10]
    return len(tally), tuple(ScaffoldCount(smiles=smiles, count=n) for smiles, n in first)


def why_rejected(rejected: Mapping[str, Rejection], read: int) -> list[str]:
    """One line for each reason why some of the rows that were read are rejected."""
    return [
        f"{rejection.count:,} of {read:,} rows are left out: {why} ({rejection.where})"
        for why, rejection in rejected.items()
    ]


def left_out(card: DataCard) -> list[str]:
    """One line for each thing that the molecules which are kept are without, and for each kind of rejected row."""

    return [
        *(f"{n:,} of {card.kept:,} molecules are kept without their {what}" for what, n in card.dropped.items() if n),
        *(f"{n:,} of {card.kept:,} molecules are standardised: {what}" for what, n in card.changed.items() if n),
        *([f"{card.alike:,} are left out: they differ from others only in {card.likeness}"] if card.alike else []),
        *why_rejected(card.rejected, card.read),
    ]


def check(card: DataCard, least: int = 2, most_rejected: float = 0.5) -> None:
    """Refuse a source of which too little is left.

    Raises:
        FedmolError: BAD_DATA if fewer than `least` molecules are kept or more than `most_rejected` of the rows are
            rejected; VOCABULARY_DIFFERS if that is mostly because of atoms or sizes that the vocabulary does not have.
    """
    if card.kept >= least and card.rejected_rows <= most_rejected * (card.read - card.blank):
        return
    filled = card.read - card.blank
    if not card.rejected:
        raise FedmolError(
            Exit.BAD_DATA,
            f"{card.source} holds {number(card.kept, 'different molecule')} in {number(filled, 'row')}, and at least "
            f"{least} are needed",
            "name a file with more molecules",
        )
    by_count = sorted(card.rejected.items(), key=lambda item: -item[1].count)
    reasons = "".join(f"\n  {number(r.count, 'row')}: {reason} ({r.where})" for reason, r in by_count)
    where = f"{card.source}, column {card.column!r}" if card.column else card.source
    usable = f"{f'only {card.kept}' if card.kept else 'none'} of {filled:,} rows can be used"
    besides = f" ({number(card.duplicates, 'duplicate')} besides)" if card.duplicates else ""
    message = f"{where}: {usable}{besides}{reasons}"
    if card.foreign_rows * 2 > card.rejected_rows:
        raise FedmolError(
            Exit.VOCABULARY_DIFFERS,
            message,
            f"the vocabulary {card.vocabulary} is too small: take another (model.vocabulary in the settings of all "
            "parties, --vocabulary on the command line; drug holds drug-like molecules, fedmol data vocabulary FILE "
            "proposes one), or leave these molecules out",
        )
    cures = "; ".join(cure for reason, cure in _CURES.items() if reason in card.rejected)
    raise FedmolError(Exit.BAD_DATA, message, cures or "correct or remove these rows")
