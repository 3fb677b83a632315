"""Steering: how a sampler makes more of its conditions than the denoiser does by itself.

A guide answers in the place of the denoiser, with logits of the *clean* graph. So the samplers, their posteriors and
their last draw stay what they are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fedmol.diffusion.conditions import Conditions
from fedmol.diffusion.denoising import Denoises, Logits
from fedmol.graphs import Graphs

_MOST = 100.0  # of a weight


class Guides(Protocol):
    """Predicts the clean graph from a noisy one under conditions, asking `denoiser` as often as it needs.

    Arguments are those of the denoiser; they stay in their places for all steps, and nothing may wait for the device
    (see `fedmol.execution`).
    """

    def __call__(self, denoiser: Denoises, noisy: Graphs, time: Tensor, conditions: Conditions | None) -> Logits: ...


@dataclass(frozen=True)
class ClassifierFree:
    """Classifier-free guidance with a weight for each property, bounded, on the distributions of the clean graph.

    Of an entry x (an atom or a pair) the denoiser knows p(x | c), and p(x) where it gets null tokens. Sampled is

        log q(x) = log p(x | c) + w [log p(x | c) - log p(x)] + const = (1 + w) log p(x | c) - w log p(x) + const,

    Ho & Salimans 2022, equation 6, for classes instead of scores. By Bayes' rule the bracket is log p(c | x) up to a
    constant: the denoiser's own classifier, sharpened. With different weights, properties of equal weight form a group
    c_g, and each group is compared with the model that knows all others:

        log q(x) = log p(x | c) + sum over g of w_g [log p(x | c) - log p(x | c without c_g)] + const,

    that is, p(c_g | x, other c) to the power w_g. One weight for all is the first formula, at two calls of the network;
    every further weight costs one more, and weight 0 none.

    The sum is held within -`bound`..`bound` nats for each class, so that odds change by at most exp(2 `bound`).
    Otherwise a class that both predictions rule out, with probabilities of 1e-9 and 1e-13, could win.
    """

    weights: tuple[float, ...]  # (K,), 0 or more
    bound: float = 3.0  # nats

    def __post_init__(self) -> None:
        if not all(0 <= weight <= _MOST for weight in self.weights):
            raise ValueError(f"weights of guidance are numbers from 0 to {_MOST:g}")
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise ValueError("the bound of guidance is a positive number of nats")

    def __call__(self, denoiser: Denoises, noisy: Graphs, time: Tensor, conditions: Conditions | None) -> Logits:
        if conditions is None or conditions.known.shape[1] != len(self.weights):
            raise ValueError(f"guidance of {len(self.weights)} properties needs conditions on as many")
        asked = noisy.atoms, noisy.bonds, noisy.counts, time
        full = denoiser(*asked, conditions)
        groups = [(weight, denoiser(*asked, conditions.without(columns))) for weight, columns in self._groups()]
        if not groups:
            return full
        return Logits(
            full.atoms + self._shift(full.atoms, [(weight, less.atoms) for weight, less in groups]),
            full.bonds + self._shift(full.bonds, [(weight, less.bonds) for weight, less in groups]),
        )

    def _groups(self) -> list[tuple[float, list[int]]]:
        """Each weight that is not 0, and the properties that have it."""
        columns = defaultdict(list)
        for column, weight in enumerate(self.weights):
            columns[weight].append(column)
        return sorted((weight, group) for weight, group in columns.items() if weight)

    def _shift(self, full: Tensor, groups: list[tuple[float, Tensor]]) -> Tensor:
        """What is added to logits (..., k): 0 where nothing depends on the conditions, as outside the graph."""
        given = full.log_softmax(-1)
        shift = sum((weight * (given - less.log_softmax(-1)) for weight, less in groups), torch.zeros_like(given))
        return shift.clamp(-self.bound, self.bound)
