"""The molecules of a run as graphs in one file of a few MB, encoded where RDKit is and read where it is not.

`python -m benchmarks.gpu.molecules qm9 --out bench/gpu/qm9.safetensors`
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.gpu.ending import ended
from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import HALF_EDGE_CODE, NODE_CODE, Graphs
from fedmol.ragged import check_symmetric
from fedmol.training import sealed_tensors

SOURCES = ("qm9", "embedded")
VOCABULARY = "qm9-charged"
_SIZES = 8, 4, 9  # atom types, bond types and atoms of that vocabulary
_FEWEST = 64  # molecules

Part = Literal["training", "test"]
_PARTS: tuple[Part, Part] = ("training", "test")


@dataclass(frozen=True)
class Molecules:
    """Training and test molecules, and the sizes of their vocabulary."""

    training: Graphs
    test: Graphs
    source: str
    vocabulary: str
    atom_types: int
    bond_types: int
    max_atoms: int

    @cached_property
    def census(self) -> Census:
        return Census.take(self.training, self.atom_types, self.bond_types, self.max_atoms)

    @cached_property
    def noise(self) -> NoiseModel:
        return NoiseModel.from_census(self.census)


def packed(graphs: Graphs) -> dict[str, Tensor]:
    """As few bytes as hold the graphs: each pair of atoms once."""
    check_symmetric(graphs)
    first, second = torch.triu_indices(graphs.width, graphs.width, 1)
    return {
        "atoms": graphs.atoms.cpu().to(torch.uint8),  # (B, N)
        "pairs": graphs.bonds.cpu()[:, first, second].to(torch.uint8),  # (B, P)
        "counts": graphs.counts.cpu().to(torch.uint8),  # (B,)
    }


def unpacked(tensors: dict[str, Tensor]) -> Graphs:
    """What `packed` was given."""
    atoms = tensors["atoms"].to(NODE_CODE)
    first, second = torch.triu_indices(atoms.shape[1], atoms.shape[1], 1)
    bonds = torch.zeros(*atoms.shape, atoms.shape[1], dtype=HALF_EDGE_CODE)
    bonds[:, first, second] = bonds[:, second, first] = tensors["pairs"].to(HALF_EDGE_CODE)
    return Graphs(atoms, bonds, tensors["counts"].long())


def save_graphs(path: Path, parts: dict[str, Graphs], meta: dict[str, Any]) -> None:
    """Write named sets of graphs to one file, whole or not at all."""
    tensors = {f"{name}.{key}": value for name, graphs in parts.items() for key, value in packed(graphs).items()}
    sealed_tensors.save(path, tensors, meta)


def load_graphs(path: Path) -> tuple[dict[str, Graphs], dict[str, Any]]:
    """What `save_graphs` wrote.

    Raises:
        FedmolError: BAD_DATA when the file is missing, damaged, or holds anything else.
    """
    if not path.is_file():
        raise _unusable(path, "there is no such file")
    try:
        tensors, meta = sealed_tensors.load(path)
    except FedmolError:
        raise _unusable(path, "it is damaged, or no file of this benchmark") from None
    parts: dict[str, Graphs] = {}
    for name in sorted({name.split(".")[0] for name in tensors}):
        own = sealed_tensors.without_prefix(f"{name}.", tensors)
        if wrong := _wrong(own):
            raise _unusable(path, f"{name}: {wrong}")
        parts[name] = unpacked(own)
    return parts, meta


def _wrong(tensors: dict[str, Tensor]) -> str | None:
    """What keeps the tensors from being `packed` graphs."""
    if set(tensors) != {"atoms", "pairs", "counts"}:
        return f"it has the tensors {', '.join(sorted(tensors))} instead of atoms, counts and pairs"
    atoms, pairs, counts = tensors["atoms"], tensors["pairs"], tensors["counts"]
    if {tensor.dtype for tensor in tensors.values()} != {torch.uint8}:
        return "its tensors are not of bytes"
    rows, width = (*atoms.shape, 0)[:2] if atoms.ndim else (0, 0)
    if not rows or atoms.ndim != 2 or pairs.shape != (rows, width * (width - 1) // 2) or counts.shape != (rows,):
        return "its tensors have shapes that do not fit together"
    if not 1 <= int(counts.min()) <= int(counts.max()) <= width:
        return f"it has molecules of no atoms, or of more than {width}"
    return None


def _unusable(path: Path, reason: str) -> FedmolError:
    return FedmolError(
        Exit.BAD_DATA, f"{path} cannot be read: {reason}", "encode the molecules where RDKit is: `make gpu-molecules`"
    )


def load(path: Path) -> Molecules:
    """The molecules that `python -m benchmarks.gpu.molecules` encoded.

    Raises:
        FedmolError: BAD_DATA when the file is missing, damaged, or holds anything else.
    """
    parts, meta = load_graphs(path)
    try:
        molecules = Molecules(parts["training"], parts["test"], **meta)
        sizes = molecules.atom_types, molecules.bond_types, molecules.max_atoms
        named = molecules.vocabulary == VOCABULARY and molecules.source in SOURCES
        if sizes != _SIZES or not named:
            raise _unusable(path, f"its molecules are not those of the vocabulary {VOCABULARY}")
    except (KeyError, TypeError):
        raise _unusable(path, "it lacks training or test molecules, or says nothing about them") from None
    for graphs in (molecules.training, molecules.test):
        if wrong := outside(graphs, molecules):
            raise _unusable(path, wrong)
    if len(molecules.training) < _FEWEST or len(molecules.test) < _FEWEST:
        raise _unusable(path, f"it has fewer than {_FEWEST} training or test molecules")
    return molecules


def outside(graphs: Graphs, molecules: Molecules) -> str | None:
    """Why the graphs are not of the vocabulary of `molecules`; None if they are."""
    if graphs.width > molecules.max_atoms:
        return f"it has molecules of more than {molecules.max_atoms} atoms"
    kinds = {"atoms": molecules.atom_types, "bonds": molecules.bond_types}
    for what, codes in (("atoms", graphs.atoms), ("bonds", graphs.bonds)):
        if not 0 <= int(codes.min()) <= int(codes.max()) < kinds[what]:
            return f"it has {what} that the vocabulary {molecules.vocabulary} does not have"
    return None


def digest(path: Path) -> str:
    """SHA-256 of the file, by which a run knows its molecules."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def encode(source: str) -> Molecules:
    """QM9 split as for the model that comes with fedmol, or the embedded molecules with every tenth held out.

    Raises:
        FedmolError: BAD_DATA without the packages that this takes; or see `fedmol.data.sources.qm9`.
    """
    try:
        from fedmol.chem import vocabulary as vocabularies
        from fedmol.chem.smiles_to_graphs import encode as encoded
        from fedmol.data.embedded import embedded
        from fedmol.evaluation.reference_molecules import real_molecules
    except ModuleNotFoundError as error:
        raise FedmolError(
            Exit.BAD_DATA,
            f"molecules cannot be encoded without the package {error.name}, which is not installed here",
            "encode them on another machine with `make gpu-molecules`, and bring the file along",
        ) from None
    types = vocabularies.get(VOCABULARY)
    if source == "embedded":
        graphs = encoded(embedded(), types).graphs
        held_out = torch.arange(len(graphs)) % 10 == 0
        training, test = graphs[~held_out], graphs[held_out]
    else:
        training, test = (real_molecules(source, "smiles", types, part).graphs for part in _PARTS)
    return Molecules(training, test, source, types.name, len(types.atoms), len(types.bonds), types.max_atoms)


def save(path: Path, molecules: Molecules) -> None:
    """Write the file that `load` reads."""
    meta = {field.name: getattr(molecules, field.name) for field in fields(molecules) if field.name not in _PARTS}
    save_graphs(path, {name: getattr(molecules, name) for name in _PARTS}, meta)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.molecules", description="Encode molecules.")
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(arguments)
    return ended(lambda: _encode_to(asked.source, asked.out))


def _encode_to(source: str, path: Path) -> int:
    molecules = encode(source)
    save(path, molecules)
    print(f"written: {path}, {len(molecules.training):,} training and {len(molecules.test):,} test molecules")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
