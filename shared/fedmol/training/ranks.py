"""Processes that take every training step together, each with its share of the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """This process's number among those of torch's process group; alone without one."""

    rank: int = 0
    count: int = 1

    def add_up(self, tensors: list[Tensor]) -> None:
        """Put the sum over all ranks in each tensor's place, the same bytes everywhere."""
        if self.count == 1:
            return
        joined = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(joined)
        sums = torch.split(joined, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [total.view_as(tensor) for total, tensor in zip(sums, tensors, strict=True)])


ALONE = Ranks()
