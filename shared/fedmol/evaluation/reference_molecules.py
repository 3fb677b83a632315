"""The real molecules that others are set against: a file, or QM9 by name, in two well-known ways of splitting it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from fedmol.chem.standardise import known_molecules
from fedmol.chem.vocabulary import Vocabulary
from fedmol.data.card import check, why_rejected
from fedmol.data.molecule_files import Table, read_table
from fedmol.data.shards import Shard, build_shard, encode_table, held_out, rejections
from fedmol.data.sources import cache_folder, load, qm9
from fedmol.data.splits import Indices, holdout, names, readable
from fedmol.errors import bad_data
from fedmol.settings import DataSettings

Part = Literal["test", "training", "not test"]

QM9 = "qm9"  # as `fedmol run` holds out, with the default shares and seed 0
QM9_DIGRESS = "qm9-digress"  # as DiGress does, before its filter
EMBEDDED = "embedded"  # molecules that are made here
_DIGRESS_TRAINING, _DIGRESS_TEST = 100_000, 13_388


def real_molecules(source: str | Table, column: str, vocabulary: Vocabulary, part: Part = "test") -> Shard:
    """The different molecules of a file or a table, or by name those of QM9 that are held out, or trained on.

    What the vocabulary does not hold is left out, and told by the card.

    Raises:
        FedmolError: BAD_DATA, VOCABULARY_DIFFERS, see `fedmol.data.molecule_files.read_table`,
            `fedmol.data.sources.qm9` and `fedmol.data.card.check`: one molecule is enough.
    """
    shard = build_shard(_table(source, part, column), vocabulary)
    check(shard.card, least=1, most_rejected=1.0)
    return shard


def training_molecules(
    source: str | Table, column: str, vocabulary: Vocabulary, tell: Callable[[str], None] | None = None
) -> Collection[str]:
    """Canonical SMILES of the different molecules of a file or a table, or of QM9 less those held out.

    They are written as generated molecules are: without charges if the vocabulary has none. Of a vocabulary with a
    recipe they are standardised, and so is what is looked for among them. `tell` is given a line for each reason why
    rows are left out.

    Raises:
        FedmolError: BAD_DATA if no row can be used, and as of `fedmol.data.molecule_files.read_table`.
    """
    table = _table(source, "training", column)
    if vocabulary.keeps_charges and table.source in (QM9, QM9_DIGRESS) and vocabulary.recipe == "none":
        return set(table.smiles)
    if vocabulary.keeps_charges:
        known, rejected = readable(table, vocabulary)
    else:
        encoded = encode_table(table, vocabulary)
        known, rejected = encoded.smiles, encoded.rejected
    lines = why_rejected(rejections(table, rejected), len(table) + table.blank)
    if not known:
        raise bad_data(
            "".join(
                [f"{table.source}: none of {len(table):,} rows is a known molecule", *(f"\n  {line}" for line in lines)]
            ),
            "check that the column holds SMILES (--column), and correct or remove these rows",
        )
    if tell is not None:
        for line in lines:
            tell(f"known molecules: {line}")
    return known_molecules(known, vocabulary)


def table_to_train_on(source: str | Table, column: str) -> Table:
    """All rows of a file or a table; by name the molecules made here, or those of QM9 that are not for testing.

    What is set aside for validation is chosen from them when they are made a shard.
    """
    if source == EMBEDDED:
        return load(DataSettings(source=EMBEDDED))
    return _table(source, "not test", column, (EMBEDDED, QM9, QM9_DIGRESS))


def _table(source: str | Table, part: Part, column: str, named: Sequence[str] = (QM9, QM9_DIGRESS)) -> Table:
    """The rows of a file, or those of one part of QM9 in canonical form."""
    if isinstance(source, Table):
        return source
    if source not in (QM9, QM9_DIGRESS):
        return read_table(Path(source), column, named)
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
    return {"test": test, "training": rest[~validation], "not test": rest}


def _held_out_by_digress(rows: int) -> dict[Part, Indices]:
    order = np.random.RandomState(42).permutation(rows)
    training = order[:_DIGRESS_TRAINING]
    return {"test": order[-_DIGRESS_TEST:], "training": training, "not test": training}
