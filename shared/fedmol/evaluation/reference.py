"""The real molecules that others are set against: a file, or QM9 by name, in two well-known ways of splitting it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from fedmol.chem.standardise import known_molecules
from fedmol.chem.vocabulary import Vocabulary
from fedmol.data.card import check
from fedmol.data.reading import Table, read_table
from fedmol.data.shards import Shard, build_shard, encode_table, held_out
from fedmol.data.sources import cache_folder, qm9
from fedmol.data.splits import Indices, holdout, names, readable
from fedmol.federation.settings import DataSettings

Part = Literal["test", "training"]

QM9 = "qm9"  # as `fedmol run` holds out, with the default shares and seed 0
QM9_DIGRESS = "qm9-digress"  # as DiGress does, before its filter
_DIGRESS_TRAINING, _DIGRESS_TEST = 100_000, 13_388


def real_molecules(source: str, column: str, vocabulary: Vocabulary, part: Part = "test") -> Shard:
    """The different molecules of a file, or by name those of QM9 that are held out, or trained on.

    What the vocabulary does not hold is left out, and told by the card.

    Raises:
        FedmolError: BAD_DATA, VOCABULARY_DIFFERS, see `fedmol.data.reading.read_table`, `fedmol.data.sources.qm9` and
            `fedmol.data.card.check`: one molecule is enough.
    """
    shard = build_shard(_table(source, part, column), vocabulary)
    check(shard.card, least=1, most_rejected=1.0)
    return shard


def training_molecules(source: str, column: str, vocabulary: Vocabulary) -> Collection[str]:
    """Canonical SMILES of the different molecules of a file, or of QM9 less those held out; errors as `real_molecules`.

    They are written as generated molecules are: without charges if the vocabulary has none. Of a vocabulary with a
    recipe they are standardised, and so is what is looked for among them.
    """
    table = _table(source, "training", column)
    if not vocabulary.keeps_charges:
        return known_molecules(encode_table(table, vocabulary).smiles, vocabulary)
    if table.source in (QM9, QM9_DIGRESS) and vocabulary.recipe == "none":
        return set(table.smiles)
    return known_molecules(readable(table, vocabulary), vocabulary)


def _table(source: str, part: Part, column: str) -> Table:
    """The rows of a file, or those of one part of QM9 in canonical form."""
    if source not in (QM9, QM9_DIGRESS):
        return read_table(Path(source), column)
    table, canonical = _qm9()
    rows = _held_out_here(canonical) if source == QM9 else _held_out_by_digress(len(table))
    return Table(source, table.column, canonical, table.lines).take(rows[part].tolist())


@cache
def _qm9() -> tuple[Table, tuple[str, ...]]:
    table = qm9(cache_folder())
    return table, tuple(names(table.smiles))


def _held_out_here(canonical: Sequence[str]) -> dict[Part, Indices]:
    data = DataSettings(source=QM9)
    rest, test = holdout(canonical, data.test_share, seed=0)
    validation = held_out([canonical[k] for k in rest], data.validation_share).numpy()
    return {"test": test, "training": rest[~validation]}


def _held_out_by_digress(rows: int) -> dict[Part, Indices]:
    order = np.random.RandomState(42).permutation(rows)
    return {"test": order[-_DIGRESS_TEST:], "training": order[:_DIGRESS_TRAINING]}
