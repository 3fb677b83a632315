"""A site's shard: its molecules as graphs, with the data card, encoded once and kept in a cache.

The cache is one file (`fedmol.sealed`), and a shard that is opened from it lies there: its arrays are maps of the file.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping
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
from fedmol.chem.molecule_codes import code_block
from fedmol.chem.smiles_to_graphs import Encoded, joined
from fedmol.chem.standardise import coding_digest
from fedmol.chem.vocabulary import Vocabulary
from fedmol.data.card import DataCard, Rejection, check, counts, largest_scaffolds
from fedmol.data.molecule_files import Table, parse_table, read_bytes
from fedmol.data.parallel import Progress, in_blocks
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs
from fedmol.ragged import RaggedGraphs

_FORMAT = "6"  # of the cache; a change makes old caches unread
_HASH_RANGE = 1 << 64
_GRAPHS = "counts", "atoms", "bond_counts", "ends", "bonds"
_LARGEST_CACHE = 64 * 2**30  # bytes
_PIECE = 1 << 22  # bytes of text that are looked at together
_NEWLINE = ord("\n")
_HASHED = 4096  # molecules at a time


@dataclass(frozen=True)
class Shard:
    """Different molecules of one source: `smiles[k]` is the canonical SMILES of graph k; `held_out[k]` is True if it
    is for validation. Opened from a cache, `stored` and `text` are on the disk and read when they are used."""

    stored: RaggedGraphs  # those for training, and after them those for validation, each in the order of `smiles`
    text: Tensor  # (bytes,) uint8, the SMILES in lines
    card: DataCard
    held_out: Tensor  # (molecules,) bool

    @property
    def smiles(self) -> list[str]:
        """Made anew whenever it is asked for: of a large shard it takes more memory than the graphs."""
        return self.text.numpy().tobytes().decode("ascii").split("\n") if len(self) else []

    @property
    def graphs(self) -> Graphs:
        places = torch.empty(len(self), dtype=torch.int64)
        places[_training_first(self.held_out)] = torch.arange(len(self))
        return self.stored.select(places).dense()

    @cached_property
    def training(self) -> RaggedGraphs:
        return self.stored.select(slice(self._trained_on))

    @cached_property
    def validation(self) -> RaggedGraphs:
        return self.stored.select(slice(self._trained_on, None))

    @cached_property
    def _trained_on(self) -> int:
        return len(self) - int(self.held_out.sum())

    def __len__(self) -> int:
        return len(self.held_out)


def _training_first(held_out: Tensor) -> Tensor:
    """Indices of the molecules for training, and after them of those for validation."""
    return torch.cat([(~held_out).nonzero(), held_out.nonzero()]).squeeze(1)


def _positions(smiles: list[str]) -> NDArray[np.float64]:
    """A number in [0, 1) that depends on the molecule alone."""
    heads = (hashlib.sha256(text.encode()).digest()[:8] for text in smiles)
    return np.fromiter((int.from_bytes(head, "big") / _HASH_RANGE for head in heads), np.float64, len(smiles))


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
    return replace(encoded, rows=array("q", (told[row] for row in encoded.rows)), rejected=rejected)


def rejections(table: Table, rejected: Mapping[str, list[int]]) -> dict[str, Rejection]:
    """The lines of rejected rows, by reason."""
    return {reason: Rejection.of([table.lines[row] for row in rows]) for reason, rows in sorted(rejected.items())}


def build_shard(
    table: Table, vocabulary: Vocabulary, validation_share: float = 0.05, on_progress: Progress | None = None
) -> Shard:
    """The shard of a table, whatever is left of it: `fedmol.data.card.check` says whether that is enough."""
    encoded = encode_table(table, vocabulary, on_progress)
    table = replace(table, smiles=())  # of millions they take more room than there is to spare beside the graphs
    return shard_of(table, encoded, vocabulary, validation_share)


def _different(encoded: Encoded) -> tuple[Tensor, list[str], int]:
    """The first graph of each molecule (ascending), its SMILES, and how many of the others differ from it in what is
    dropped or changed. What it takes to find them is freed before graphs are chosen."""
    first: dict[str, int] = {}
    alike = 0
    for place, text in enumerate(encoded.smiles):
        before = first.setdefault(text, place)
        alike += encoded.originals.get(before) != encoded.originals.get(place)
    return torch.tensor(list(first.values()), dtype=torch.int64), list(first), alike


def shard_of(table: Table, encoded: Encoded, vocabulary: Vocabulary, validation_share: float = 0.05) -> Shard:
    """The shard of a table whose molecules are encoded."""
    kept, smiles, alike = _different(encoded)
    chosen = torch.zeros(len(encoded.smiles), dtype=torch.bool)
    chosen[kept] = True
    validation = held_out(smiles, validation_share) if smiles else torch.zeros(0, dtype=torch.bool)
    graphs = encoded.ragged.select(kept[_training_first(validation)])
    sizes, atoms, bonds = counts(graphs, vocabulary)
    number, largest = largest_scaffolds(encoded.scaffolds[place] for place in kept.tolist())
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
        rejected=rejections(table, encoded.rejected),
        sizes=sizes,
        atoms=atoms,
        bonds=bonds,
        scaffolds=number,
        largest_scaffolds=largest,
    )
    return Shard(graphs, _in_lines(smiles), card, validation)


def _in_lines(smiles: list[str]) -> Tensor:
    text = bytearray()
    for start in range(0, len(smiles), _HASHED):
        text += b"\n" * (start > 0) + "\n".join(smiles[start : start + _HASHED]).encode("ascii")
    return torch.from_numpy(np.frombuffer(text, np.uint8))  # (bytes,)


def _cache_file(
    cache: Path, path: Path, content: bytes, column: str, vocabulary: Vocabulary, validation_share: float
) -> Path:
    coding = coding_digest(vocabulary)
    parts = [_FORMAT, rdBase.rdkitVersion, path.suffix.lower(), column, coding, repr(validation_share)]
    key = hashlib.sha256("\n".join(parts).encode() + hashlib.sha256(content).digest()).hexdigest()
    return cache / f"shard-{key[:32]}.safetensors"


def shard_digest(run: str, training: RaggedGraphs, validation: RaggedGraphs) -> str:
    """BLAKE3 (hex) of a site's graphs in their order, keyed by the run's id so that no two runs' digests are alike."""
    key = blake3(run.encode(), derive_key_context="fedmol: digest of a shard in a run").digest()
    hashed = blake3(key=key)
    for graphs in (training, validation):
        code = _narrowest(graphs.atoms)
        hashed.update(len(graphs).to_bytes(8, "little") + graphs.width.to_bytes(8, "little"))
        for part in graphs.blocks(_HASHED):
            for values in (part.atoms.to(code), part.bonds, part.counts):
                hashed.update(values.contiguous().numpy().tobytes())
            if part.properties is not None:
                hashed.update(part.properties.contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _narrowest(codes: Tensor) -> torch.dtype:
    """One byte each where that is enough: so a shard keeps the digest that it had when codes were stored so."""
    return torch.int8 if not len(codes) or int(codes.max()) <= torch.iinfo(torch.int8).max else codes.dtype


def _store(path: Path, shard: Shard) -> None:
    graphs = {name: array.numpy() for name, array in shard.stored.arrays.items()}
    arrays = {**graphs, "smiles": shard.text.numpy(), "held_out": shard.held_out.numpy()}
    sealed.save(path, arrays, {"card": shard.card.to_json()})


def _restore(path: Path, source: str, vocabulary: Vocabulary) -> Shard | None:
    """The shard in the cache, None if there is none or it is damaged."""
    try:
        arrays, meta = sealed.mapped(path, _LARGEST_CACHE)
        card = DataCard.from_json(meta["card"]).model_copy(update={"source": source})
        graphs = RaggedGraphs(**{name: arrays[name] for name in _GRAPHS}, properties=arrays.get("properties"))
        shard = Shard(graphs, arrays["smiles"], card, arrays["held_out"])
    except (FedmolError, OSError, KeyError, TypeError):
        return None
    return shard if _is_sound(shard, vocabulary) else None


def _is_sound(shard: Shard, vocabulary: Vocabulary) -> bool:
    """True if each array is what it is said to be, and all are of as many molecules."""
    if not shard.stored.within(*vocabulary.sizes) or not shard.stored.symmetric:
        return False
    held_out, number = shard.held_out, len(shard.stored)
    if held_out.dtype is not torch.bool or held_out.shape != (number,) or shard.card.kept != number:
        return False
    return shard.text.dtype is torch.uint8 and shard.text.dim() == 1 and _lines(shard.text) == number


def _lines(text: Tensor) -> int | None:
    """How many lines there are, None if there are other characters than those of SMILES."""
    ends = 0
    for piece in torch.split(text, _PIECE):
        between = (piece == _NEWLINE).sum()
        if ((piece > ord(" ")) & (piece < 0x7F)).sum() + between != len(piece):
            return None
        ends += int(between)
    return ends + 1


def open_shard(
    path: Path,
    column: str,
    vocabulary: Vocabulary,
    validation_share: float,
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> Shard:
    """The shard in a file of molecules, see `fedmol.data.molecule_files.read_table`.

    With `cache`, a folder, the encoded graphs are kept there (readable by the owner only) under a name made from the
    file's content, the column, the vocabulary, the share for validation and RDKit's version; a damaged cache is made
    again. The shard is then one on the disk, see `Shard`.

    Raises:
        FedmolError: BAD_DATA, VOCABULARY_DIFFERS: see `read_table` and `fedmol.data.card.check`. STATE_UNUSABLE if the
            disk does not keep the cache.
    """
    content = read_bytes(path)

    def build() -> Shard:
        shard = build_shard(parse_table(path, content, column), vocabulary, validation_share, on_progress)
        check(shard.card)
        return shard

    if cache is None:
        return build()
    cached = _cache_file(cache, path, content, column, vocabulary, validation_share)
    shard = _restore(cached, str(path), vocabulary)
    if shard is None:
        _store(cached, build())
        shard = _restore(cached, str(path), vocabulary)
    if shard is None:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"{cached} does not hold what was just written to it",
            "look at the disk with that folder, and name a working folder on another one",
        )
    return shard
