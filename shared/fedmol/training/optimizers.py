"""The optimiser of a training: one or several of torch's, each over its own parameters, stepped as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from fedmol.training.config import TrainingConfig
from fedmol.training.muon import Muon

SHARE = "share"  # of the scheduled learning rate; a parameter group without it has 1


class Optimizers:
    """Optimisers over different parameters as one; a group's `share` scales the learning rate that is set."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts

    def keep_on_device(self) -> None:
        """From now on learning rates are tensors beside the parameters, which a captured step reads anew each time."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = torch.tensor(float(group["lr"]), device=group["params"][0].device)

    def set_learning_rate(self, rate: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                own = rate * group.get(SHARE, 1.0)
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(own)
                else:
                    group["lr"] = own

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self, unsound: Tensor) -> None:
        """One step of all parts, which changes nothing where `unsound`, a scalar on the parameters' device, is 1."""
        capturing = unsound.is_cuda and torch.cuda.is_current_stream_capturing()
        for part in self.parts:
            part.found_inf = unsound  # type: ignore[attr-defined]  # what torch's GradScaler sets, too
            for group in part.param_groups:
                group["capturable"] = capturing  # torch refuses to capture without it, and warns of it elsewhere
            part.step()


def build_optimizer(denoiser: nn.Module, config: TrainingConfig) -> Optimizers:
    """What `config.optimizer` names: "adamw", or "muon", which takes over the matrices inside the layers.

    Weights decay in matrices only.
    """
    named = list(denoiser.named_parameters())
    inner = [p for name, p in named if config.optimizer == "muon" and p.ndim == 2 and name.startswith("blocks.")]
    taken = set(map(id, inner))
    matrices = [p for _, p in named if p.ndim > 1 and id(p) not in taken]
    others = [p for _, p in named if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    adamw = AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
    muon = [Muon(inner, config.learning_rate, config.weight_decay)] if inner else []
    return Optimizers(adamw, *muon)
