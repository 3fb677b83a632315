"""Two sites that write the same substances in different ways have the same graphs by the recipe, and not without it."""

from __future__ import annotations

import random

from rdkit import rdBase

from benchmarks import substances
from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.standardise import CHARGES, SALTS
from fedmol.data.embedded import embedded
from fedmol.data.molecule_files import Table
from fedmol.data.shards import Shard, shard_digest


def test_a_thousand_substances_as_salts_tautomers_and_charged_forms() -> None:
    smiles, rng = embedded(), random.Random(1)
    table = Table("embedded", "smiles", smiles, tuple(range(1, len(smiles) + 1)))
    parent, none = vocabularies.get("qm9-charged", "parent"), vocabularies.get("qm9-charged")
    with rdBase.BlockLogs():
        pairs = list(substances.two_sites(substances.substances(table, 1000, parent, rng), rng))
    assert {way for _, _, way in pairs} == set(substances.WAYS)

    def shards(vocabulary: vocabularies.Vocabulary, ways: tuple[str, ...]) -> tuple[Shard, Shard]:
        chosen = [pair for pair in pairs if pair[2] in ways]
        return (
            substances.shard_of([one for one, _, _ in chosen], vocabulary),
            substances.shard_of([other for _, other, _ in chosen], vocabulary),
        )

    here, there = shards(parent, ("salt", "charged"))
    assert here.smiles == there.smiles
    assert shard_digest("run", here.training, here.validation) == shard_digest("run", there.training, there.validation)
    assert there.card.kept + there.card.duplicates == there.card.read
    assert min(there.card.changed[SALTS], there.card.changed[CHARGES]) > 100
    here, there = shards(parent, ("tautomer",))
    assert len({*here.smiles} & {*there.smiles}) >= 0.99 * len(here)
    here, there = shards(none, substances.WAYS)
    assert not {*here.smiles} & {*there.smiles}
    assert there.card.rejected["more than one fragment (salt, solvate or mixture)"].count > 100
    assert not there.card.changed
