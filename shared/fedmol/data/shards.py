"""A site's shard: its molecules as graphs, with the data card, encoded once and kept in a cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from blake3 import blake3
from numpy.typing import NDArray
from rdkit import rdBase
from torch import Tensor

from fedmol import sealed
from fedmol.chem.coding import code_block
from fedmol.chem.encoding import Encoded, joined
from fedmol.chem.recipes import coding_digest
from fedmol.chem.vocabulary import Vocabulary
from fedmol.data.card import DataCard, Rejection, check, counts, largest_scaffolds
from fedmol.data.processes import Progress, in_blocks
from fedmol.data.reading import Table, parse_table, read_bytes
from fedmol.errors import FedmolError
from fedmol.graphs import Graphs
from fedmol.ragged import RaggedGraphs

_FORMAT = "3"  # of the cache; a change makes old caches unread
_HASH_RANGE = 1 << 64
_GRAPHS = "counts", "atoms", "bond_counts", "ends", "bonds"
_LARGEST_CACHE = 64 * 2**30  # bytes
_HASHED = 4096  # molecules at a time


@dataclass(frozen=True)
class Shard:
    """Different molecules of one source: `smiles[k]` is the canonical SMILES of graph k; `held_out[k]` is True if it
    is for validation."""

    ragged: RaggedGraphs
    smiles: list[str]
    card: DataCard
    held_out: Tensor  # (molecules,) bool

    @property
    def graphs(self) -> Graphs:
        return self.ragged.dense()

    @cached_property
    def training(self) -> RaggedGraphs:
        return self.ragged.select(~self.held_out)

    @cached_property
    def validation(self) -> RaggedGraphs:
        return self.ragged.select(self.held_out)

    def __len__(self) -> int:
        return len(self.smiles)


def _positions(smiles: list[str]) -> NDArray[np.float64]:
    """A number in [0, 1) that depends on the molecule alone."""
    heads = (hashlib.sha256(one.encode()).digest()[:8] for one in smiles)
    return np.array([int.from_bytes(head, "big") / _HASH_RANGE for head in heads])


def held_out(smiles: list[str], share: float) -> Tensor:
    """True for about `share` of the molecules, chosen by the hash of their canonical SMILES.

    The same molecule therefore lands on the same side at every site, and nobody validates on what another trains on.
    In a shard so small that one side would stay empty, the molecule nearest to the threshold goes there.
    """
    positions = _positions(smiles)
    chosen = positions < share
    if not chosen.any():
        chosen[positions.argmin()] = True
    elif chosen.all():
        chosen[positions.argmax()] = False
    return torch.from_numpy(chosen)  # (molecules,) bool


def encode_table(table: Table, vocabulary: Vocabulary, on_progress: Progress | None = None) -> Encoded:
    """The molecules of a table; rows whose SMILES cannot be told are rejected for what is wrong with the row."""
    code = partial(code_block, vocabulary=vocabulary)
    if not table.faults:
        return joined(in_blocks(code, table.smiles, on_progress))
    told = [row for row in range(len(table)) if row not in table.faults]
    encoded = joined(in_blocks(code, [table.smiles[row] for row in told], on_progress))
    rejected = {reason: [told[row] for row in rows] for reason, rows in encoded.rejected.items()}
    for row, fault in table.faults.items():
        rejected.setdefault(fault, []).append(row)
    return replace(encoded, rows=[told[row] for row in encoded.rows], rejected=rejected)


def _rejections(table: Table, encoded: Encoded) -> dict[str, Rejection]:
    return {
        reason: Rejection.of([table.lines[row] for row in rows]) for reason, rows in sorted(encoded.rejected.items())
    }


def build_shard(
    table: Table, vocabulary: Vocabulary, validation_share: float = 0.05, on_progress: Progress | None = None
) -> Shard:
    """The shard of a table, whatever is left of it: `fedmol.data.card.check` says whether that is enough."""
    return shard_of(table, encode_table(table, vocabulary, on_progress), vocabulary, validation_share)


def shard_of(table: Table, encoded: Encoded, vocabulary: Vocabulary, validation_share: float = 0.05) -> Shard:
    """The shard of a table whose molecules are encoded."""
    first: dict[str, int] = {}
    alike = 0
    for place, one in enumerate(encoded.smiles):
        before = first.setdefault(one, place)
        alike += encoded.originals.get(before) != encoded.originals.get(place)
    kept, smiles = list(first.values()), list(first)
    graphs, chosen = encoded.ragged, torch.zeros(len(encoded.smiles), dtype=torch.bool)
    chosen[kept] = True
    if not chosen.all():
        graphs = graphs.select(chosen)
    sizes, atoms, bonds = counts(graphs, vocabulary)
    number, largest = largest_scaffolds(encoded.scaffolds[place] for place in kept)
    card = DataCard(
        source=table.source,
        column=table.column,
        vocabulary=vocabulary.name,
        vocabulary_digest=vocabulary.digest(),
        recipe=vocabulary.recipe,
        read=len(table) + table.blank,
        kept=len(kept),
        duplicates=len(encoded.smiles) - len(kept),
        alike=alike,
        blank=table.blank,
        dropped={what: int(chosen[places].sum()) for what, places in sorted(encoded.dropped.items())},
        changed={what: int(chosen[places].sum()) for what, places in sorted(encoded.changed.items())},
        rejected=_rejections(table, encoded),
        sizes=sizes,
        atoms=atoms,
        bonds=bonds,
        scaffolds=number,
        largest_scaffolds=largest,
    )
    return Shard(
        graphs, smiles, card, held_out(smiles, validation_share) if smiles else torch.zeros(0, dtype=torch.bool)
    )


def _cache_file(cache: Path, path: Path, content: bytes, column: str, vocabulary: Vocabulary) -> Path:
    parts = [_FORMAT, rdBase.rdkitVersion, path.suffix.lower(), column, coding_digest(vocabulary)]
    key = hashlib.sha256("\n".join(parts).encode() + hashlib.sha256(content).digest()).hexdigest()
    return cache / f"shard-{key[:32]}.safetensors"


def shard_digest(run: str, training: RaggedGraphs, validation: RaggedGraphs) -> str:
    """BLAKE3 (hex) of a site's graphs in their order, keyed by the run's id so that no two runs' digests are alike."""
    key = blake3(run.encode(), derive_key_context="fedmol: digest of a shard in a run").digest()
    hashed = blake3(key=key)
    for graphs in (training, validation):
        hashed.update(len(graphs).to_bytes(8, "little") + graphs.width.to_bytes(8, "little"))
        for part in graphs.blocks(_HASHED):
            for values in (part.atoms, part.bonds, part.counts):
                hashed.update(values.contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _store(path: Path, shard: Shard) -> None:
    text = np.frombuffer("\n".join(shard.smiles).encode(), np.uint8)
    graphs = {name: getattr(shard.ragged, name).numpy() for name in _GRAPHS}
    sealed.save(path, {**graphs, "smiles": text}, {"card": shard.card.to_json()})


def _restore(path: Path, source: str, validation_share: float) -> Shard | None:
    """The shard in the cache, None if there is none or it is damaged."""
    try:
        arrays, meta = sealed.load(path, _LARGEST_CACHE)
        card = DataCard.from_json(meta["card"])
        graphs = RaggedGraphs(*(torch.from_numpy(arrays[name]) for name in _GRAPHS))
        smiles = arrays["smiles"].tobytes().decode().split("\n")
    except (FedmolError, OSError, KeyError, TypeError, UnicodeDecodeError):
        return None
    if len(smiles) != len(graphs) or not graphs.fits():
        return None
    card = card.model_copy(update={"source": source})
    return Shard(graphs, smiles, card, held_out(smiles, validation_share))


def open_shard(
    path: Path,
    column: str,
    vocabulary: Vocabulary,
    validation_share: float,
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> Shard:
    """The shard in a file of molecules, see `fedmol.data.reading.read_table`.

    With `cache`, a folder, the encoded graphs are kept there (readable by the owner only) under a name made from the
    file's content, the column, the vocabulary and RDKit's version; a damaged cache is made again.

    Raises:
        FedmolError: BAD_DATA, VOCABULARY_DIFFERS: see `read_table` and `fedmol.data.card.check`.
    """
    content = read_bytes(path)
    cached = None if cache is None else _cache_file(cache, path, content, column, vocabulary)
    shard = None if cached is None else _restore(cached, str(path), validation_share)
    if shard is None:
        shard = build_shard(parse_table(path, content, column), vocabulary, validation_share, on_progress)
        check(shard.card)
        if cached is not None:
            _store(cached, shard)
    return shard
