"""The likelihood of test molecules, block by block, so that two models can be compared more sharply than each is known.

Most of the noise of an estimate is that of the times and molecules it was made at. The estimator spreads times evenly
over a block, so the spread between blocks, not that between molecules, is the error; and two models seen at the same
blocks differ by much less than that.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from fedmol.diffusion import Likelihood, nll
from fedmol.ragged import AnyGraphs
from fedmol.training.model_file import TrainedModel

BLOCKS = 32
_SMALLEST = 8  # molecules in a block


def estimate(
    model: TrainedModel, test: AnyGraphs, molecules: int, seed: int, on_block: Callable[[int, int], None]
) -> tuple[Likelihood, tuple[float, ...]]:
    """The likelihood of up to `molecules` of the test molecules, and the published NLL of each block of them.

    The molecules are chosen at random: data sets are often sorted by size, so a prefix would not be the same thing.
    Equal seeds mean equal molecules, times and noise. `on_block` is told the blocks done and in all.
    """
    device = model.noise.size_distribution.device
    host = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(test), generator=host)[:molecules]
    generator = host if device.type == "cpu" else torch.Generator(device).manual_seed(seed)
    blocks = torch.tensor_split(chosen, max(1, min(BLOCKS, len(chosen) // _SMALLEST)))
    parts: list[Likelihood] = []
    for block in blocks:
        parts.append(nll(model.denoiser, model.noise, test[block].to(device), generator))
        on_block(len(parts), len(blocks))
    return _joined(parts), tuple(part.published for part in parts)


def _joined(parts: Sequence[Likelihood]) -> Likelihood:
    if len(parts) == 1:
        return parts[0]
    total = sum(part.molecules for part in parts)

    def mean(values: Sequence[float]) -> float:
        return sum(part.molecules * value for part, value in zip(parts, values, strict=True)) / total

    return replace(
        parts[0],
        published=mean([part.published for part in parts]),
        edges_once=mean([part.edges_once for part in parts]),
        sampler=mean([part.sampler for part in parts]),
        standard_error=standard_error([part.published for part in parts]),
        molecules=total,
        terms={name: mean([part.terms[name] for part in parts]) for name in parts[0].terms},
    )


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of independent values; infinite of fewer than two."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
