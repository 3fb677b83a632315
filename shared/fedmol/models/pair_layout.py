"""Two ways to hold the features of pairs of atoms."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor


class Layout(Protocol):
    """`P` rows of pair features per graph, against the (N, N) matrix that the rest of the program speaks."""

    def pack(self, matrix: Tensor) -> Tensor:
        """(B, N, N, ...) -> the rows."""
        ...

    def unpack(self, rows: Tensor) -> Tensor:
        """Rows -> symmetric (B, N, N, ...) with a zero diagonal."""
        ...


class OrderedPairs:
    """Every ordered pair, the diagonal included: the matrix itself."""

    def pack(self, matrix: Tensor) -> Tensor:
        return matrix

    def unpack(self, rows: Tensor) -> Tensor:
        other = ~torch.eye(rows.shape[1], dtype=torch.bool, device=rows.device)
        return (rows + rows.transpose(1, 2)) / 2 * other[:, :, None]


class UnorderedPairs:
    """Each pair i < j once: less than half the work, and symmetric by construction."""

    def __init__(self, atoms: int, device: torch.device) -> None:
        self.atoms = atoms
        self.first, self.second = torch.triu_indices(atoms, atoms, 1, device=device)  # (P,)
        count = self.first.shape[0]
        rows = torch.arange(count, device=device)
        self.place = torch.full((atoms, atoms), count, device=device)  # (N, N); P stands for "no such pair"
        self.place[self.first, self.second] = rows
        self.place[self.second, self.first] = rows
        self.incidence = torch.zeros(count, atoms, device=device)  # (P, N)
        self.incidence[rows, self.first] = 1
        self.incidence[rows, self.second] = 1

    def pack(self, matrix: Tensor) -> Tensor:
        return matrix.flatten(1, 2).index_select(1, self.first * self.atoms + self.second)  # (B, P, ...)

    def unpack(self, rows: Tensor) -> Tensor:
        padded = torch.cat([rows, rows.new_zeros(rows.shape[0], 1, *rows.shape[2:])], dim=1)
        places = padded.index_select(1, self.place.flatten())
        return places.view(-1, self.atoms, self.atoms, *rows.shape[2:])  # (B, N, N, ...)


@lru_cache(maxsize=256)
def unordered_pairs(atoms: int, device: torch.device) -> UnorderedPairs:
    """The index maps for graphs of `atoms` slots, made once per size and device."""
    with torch.inference_mode(False):
        return UnorderedPairs(atoms, device)
