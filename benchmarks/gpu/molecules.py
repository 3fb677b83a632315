"""The molecules of a run as graphs in one file of a few MB, encoded where RDKit is and read where it is not.

`python -m benchmarks.gpu.molecules qm9 --out bench/gpu/qm9.safetensors`
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fedmol.diffusion import Census, NoiseModel
from fedmol.errors import Exit, FedmolError
from fedmol.graphs import Graphs
from fedmol.training import checkpoint

SOURCES = ("qm9", "embedded")
VOCABULARY = "qm9-charged"
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

    @property
    def census(self) -> Census:
        return Census.take(self.training, self.atom_types, self.bond_types, self.max_atoms)

    @property
    def noise(self) -> NoiseModel:
        return NoiseModel.from_census(self.census)


def packed(graphs: Graphs) -> dict[str, Tensor]:
    """As few bytes as hold the graphs: each pair of atoms once."""
    first, second = torch.triu_indices(graphs.width, graphs.width, 1)
    return {
        "atoms": graphs.atoms.cpu().to(torch.uint8),  # (B, N)
        "pairs": graphs.bonds.cpu()[:, first, second].to(torch.uint8),  # (B, P)
        "counts": graphs.counts.cpu().to(torch.uint8),  # (B,)
    }


def unpacked(tensors: dict[str, Tensor]) -> Graphs:
    """What `packed` was given."""
    atoms = tensors["atoms"].to(torch.int8)
    first, second = torch.triu_indices(atoms.shape[1], atoms.shape[1], 1)
    bonds = torch.zeros(*atoms.shape, atoms.shape[1], dtype=torch.int8)
    bonds[:, first, second] = bonds[:, second, first] = tensors["pairs"].to(torch.int8)
    return Graphs(atoms, bonds, tensors["counts"].long())


def save_graphs(path: Path, parts: dict[str, Graphs], meta: dict[str, Any]) -> None:
    """Write named sets of graphs to one file, whole or not at all."""
    tensors = {f"{name}.{key}": value for name, graphs in parts.items() for key, value in packed(graphs).items()}
    checkpoint.save(path, tensors, meta)


def load_graphs(path: Path) -> tuple[dict[str, Graphs], dict[str, Any]]:
    """What `save_graphs` wrote.

    Raises:
        FedmolError: STATE_UNUSABLE when the file is missing, damaged or another.
    """
    tensors, meta = checkpoint.load(path)
    names = {name.split(".")[0] for name in tensors}
    return {name: unpacked(checkpoint.without_prefix(f"{name}.", tensors)) for name in sorted(names)}, meta


def load(path: Path) -> Molecules:
    """The molecules that `python -m benchmarks.gpu.molecules` encoded.

    Raises:
        FedmolError: BAD_DATA when the file is missing or damaged.
    """
    try:
        parts, meta = load_graphs(path)
        return Molecules(parts["training"], parts["test"], **meta)
    except (FedmolError, KeyError, TypeError) as error:
        raise FedmolError(
            Exit.BAD_DATA,
            f"{path} holds no molecules for this benchmark: {error}",
            "encode them where RDKit is installed: `make gpu-molecules`",
        ) from None


def encode(source: str) -> Molecules:
    """QM9 split as for the model that comes with fedmol, or the embedded molecules with every tenth held out.

    Raises:
        FedmolError: BAD_DATA without the packages that this takes; or see `fedmol.data.sources.qm9`.
    """
    try:
        from fedmol.chem import vocabulary as vocabularies
        from fedmol.chem.encoding import encode as encoded
        from fedmol.data.embedded import embedded
        from fedmol.evaluation.reference import real_graphs
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
        training, test = (real_graphs(source, "smiles", types, part) for part in _PARTS)
    return Molecules(training, test, source, types.name, len(types.atoms), len(types.bonds), types.max_atoms)


def save(path: Path, molecules: Molecules) -> None:
    """Write the file that `load` reads."""
    meta = {key: value for key, value in vars(molecules).items() if key not in _PARTS}
    save_graphs(path, {name: getattr(molecules, name) for name in _PARTS}, meta)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.molecules", description=__doc__)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(arguments)
    try:
        molecules = encode(asked.source)
    except FedmolError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit)
    save(asked.out, molecules)
    print(f"written: {asked.out}, {len(molecules.training):,} training and {len(molecules.test):,} test molecules")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
