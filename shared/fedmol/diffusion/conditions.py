"""What a denoiser is told of the clean graph's properties: a value for each one that is known, a null token otherwise.

A property that nobody measured and one that was dropped in training are the same null token. This is what lets sites
with different assays train one model, and what gives the model without conditions that guidance compares with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from fedmol.properties import Property


@dataclass(frozen=True)
class Conditions:
    """Properties of `B` graphs, in the order of the model's properties. Unknown values are 0, and mean nothing."""

    values: Tensor  # (B, K) float32, standardised
    known: Tensor  # (B, K) bool

    @staticmethod
    def of(table: Tensor) -> Conditions:
        """The conditions that a table of standardised properties (B, K) makes: what is NaN is unknown."""
        return Conditions(table, torch.ones_like(table, dtype=torch.bool)).restricted(~table.isnan())

    @staticmethod
    def unknown(rows: int, properties: int, device: torch.device | str) -> Conditions:
        """Null tokens only."""
        values = torch.zeros(rows, properties, device=device)
        return Conditions(values, torch.zeros_like(values, dtype=torch.bool))

    def __len__(self) -> int:
        return self.known.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> Conditions:
        return Conditions(self.values[rows], self.known[rows])

    def to(self, device: torch.device | str) -> Conditions:
        return Conditions(self.values.to(device), self.known.to(device))

    def copy_(self, other: Conditions) -> None:
        """Take over what `other` of the same shape says, in the same places of memory."""
        self.values.copy_(other.values)
        self.known.copy_(other.known)

    def restricted(self, allowed: Tensor) -> Conditions:
        """Only those that `allowed` (B, K), or broadcast to it, says; null tokens for the others."""
        known = self.known & allowed
        return Conditions(torch.where(known, self.values, 0.0), known)

    def without(self, columns: Iterable[int]) -> Conditions:
        """Null tokens in these columns. Nothing waits for a GPU."""
        allowed = torch.ones_like(self.known)
        for column in columns:
            allowed[:, column].fill_(False)  # an assignment would copy the number from the host
        return self.restricted(allowed)

    def dropped(self, probability: float, generator: Generator) -> Conditions:
        """Null tokens at random: in all of a graph's columns with `probability`, and in each alone with the same.

        The first teaches the model without conditions, the second every choice of conditions (Ho & Salimans 2022,
        algorithm 1, for several of them).
        """
        rows, columns = self.known.shape
        height = torch.rand(rows, 1 + columns, generator=generator, device=self.known.device)
        stays = height >= probability
        return self.restricted(stays[:, :1] & stays[:, 1:])


def standardised(table: Tensor, properties: Sequence[Property]) -> Tensor:
    """A table of measured values (B, K), each column in its property's unit, as `Conditions.of` takes it."""
    mean, scale = (
        torch.tensor([getattr(prop, name) for prop in properties], dtype=torch.float64, device=table.device)
        for name in ("mean", "scale")
    )
    return ((table.double() - mean) / scale).float()
