"""The data card: what a shard holds, and what became of every row of its source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedmol.chem.encoding import TOO_LARGE, UNKNOWN_ATOM
from fedmol.chem.scaffolds import scaffolds
from fedmol.chem.vocabulary import Vocabulary
from fedmol.documents import DocumentError, read_json
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs

EXAMPLES = 5


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rejection(_Section):
    count: int = Field(gt=0)
    lines: tuple[int, ...]  # the first few, counted from 1 in the source


class ScaffoldCount(_Section):
    smiles: str  # "" stands for molecules without a ring
    count: int = Field(gt=0)


class DataCard(_Section):
    """Counts of a shard; `read == kept + duplicates + rejected_rows` always holds.

    A molecule that occurs more than once in the source is kept once; the others count as duplicates. The card names
    its largest scaffolds, so it is as confidential as the shard: fedmol never sends it anywhere.
    """

    source: str
    column: str
    vocabulary: str
    vocabulary_digest: str
    read: int
    kept: int
    duplicates: int
    rejected: dict[str, Rejection]
    sizes: dict[int, int]  # heavy atoms -> molecules
    atoms: dict[str, int]  # atom type -> atoms
    bonds: dict[str, int]  # bond type -> bonds
    scaffolds: int  # different Murcko scaffolds, molecules without a ring being one of them
    largest_scaffolds: tuple[ScaffoldCount, ...]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.read != self.kept + self.duplicates + self.rejected_rows:
            raise ValueError(f"{self.read} rows read are not {self.kept} + {self.duplicates} + {self.rejected_rows}")
        return self

    @property
    def rejected_rows(self) -> int:
        return sum(rejection.count for rejection in self.rejected.values())

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


def counts(graphs: Graphs, vocabulary: Vocabulary) -> tuple[dict[int, int], dict[str, int], dict[str, int]]:
    """Molecules by size, atoms by type, bonds by type; types that do not occur are left out."""
    atoms = np.bincount(graphs.atoms[graphs.atom_mask].numpy(), minlength=len(vocabulary.atoms))
    bonds = np.bincount(graphs.bonds.numpy().ravel(), minlength=len(vocabulary.bonds)) // 2
    sizes = Counter(graphs.counts.tolist())
    return (
        dict(sorted(sizes.items())),
        {label: int(n) for label, n in zip(vocabulary.atom_labels, atoms, strict=True) if n},
        {name: int(n) for name, n in list(zip(vocabulary.bonds, bonds, strict=True))[1:] if n},
    )


def largest_scaffolds(smiles: Sequence[str]) -> tuple[int, tuple[ScaffoldCount, ...]]:
    """How many different Murcko scaffolds there are, and the ten most frequent."""
    tally = Counter(one or "" for one in scaffolds(smiles))
    first = sorted(tally.items(), key=lambda item: (-item[1], item[0]))[:10]
    return len(tally), tuple(ScaffoldCount(smiles=one, count=n) for one, n in first)


def check(card: DataCard) -> None:
    """Refuse a source of which too little is left.

    Raises:
        FedmolError: BAD_DATA if fewer than two molecules are kept or more than half of the rows are rejected;
            VOCABULARY_DIFFERS if that is mostly because of atoms or sizes that the vocabulary does not have.
    """
    if card.kept >= 2 and card.rejected_rows * 2 <= card.read:
        return
    by_count = sorted(card.rejected.items(), key=lambda item: -item[1].count)
    reasons = "".join(f"\n  {r.count} rows: {reason} (lines {', '.join(map(str, r.lines))})" for reason, r in by_count)
    message = (
        f"{card.source}: only {card.kept} of {card.read} rows can be used ({card.duplicates} are duplicates){reasons}"
    )
    foreign = sum(r.count for reason, r in by_count if reason.startswith((UNKNOWN_ATOM, TOO_LARGE)))
    if foreign * 2 > card.rejected_rows:
        raise FedmolError(
            Exit.VOCABULARY_DIFFERS,
            message,
            f"ask the coordinator for a vocabulary larger than {card.vocabulary!r} (model.vocabulary), "
            "or leave these molecules out of the file",
        )
    raise FedmolError(
        Exit.BAD_DATA,
        message,
        "correct or remove these rows, and check that the column holds SMILES; salts need their counter-ion removed",
    )
