"""Sites whose losses are quadratic forms, trained with SCAFFOLD by the very code that sites run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedmol.fl.local_methods import Kept, LocalMethod, holding
from fedmol.fl.payload import MODEL, Sections
from fedmol.training.local_round import LocalRound
from fedmol.training.parameter_vector import flatten, manifest, unflatten_into
from tests.support.in_memory import Federation

SIZE = 12  # parameters
Optimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Form(nn.Module):
    """(w - optimum)^T curvature (w - optimum) / 2, with w in two parameters and something that is none."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        numbers = np.random.default_rng(seed)
        root = numbers.normal(size=(SIZE, SIZE)) / SIZE**0.5
        self.curvature = root @ root.T + 0.1 * np.eye(SIZE)
        self.optimum = numbers.normal(size=SIZE)
        self.vector, self.matrix = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(2, 4))

    def gradient(self, w: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.curvature @ (w - self.optimum))

    def set_gradients(self) -> None:
        gradient = torch.from_numpy(self.gradient(flatten(self).astype(np.float64))).float()
        self.matrix.grad, self.vector.grad = gradient[:8].view(2, 4), gradient[8:].clone()  # as they are in the vector


class Site:
    """What a site does with a round, and keeps of it on its disk."""

    def __init__(self, seed: int, method: LocalMethod, optimizer: Optimizer, steps: int) -> None:
        self.form, self.method, self.optimizer, self.steps = Form(seed), method, optimizer, steps
        self.rounds: dict[int, tuple[Kept, Kept]] = {}  # the states that may hold after a round

    def kept(self, one: Federation, name: str) -> Kept:
        opening = one.engine.opening(name)
        before = [round for round in self.rounds if round < opening.round]
        states = self.rounds[max(before)] if before else ()
        return holding(opening.last_counted, opening.members_since, states)

    def train(self, one: Federation, name: str, broken_off: int | None = None) -> Sections:
        """The sections to send; the same whenever it is asked for. `broken_off` is a step to break the round off at."""
        start, kept = one.engine.sections, self.kept(one, name)
        unflatten_into(self.form, start[MODEL], manifest(self.form))
        optimizer = self.optimizer(self.form.parameters())
        local = LocalRound(self.method, start, kept.vectors)
        on_gradient = local.begin(self.form)
        for step in range(self.steps):
            if step == broken_off:
                local = LocalRound(self.method, start, kept.vectors, local.so_far())
                on_gradient = local.begin(self.form)
            self.form.set_gradients()
            if on_gradient is not None:
                on_gradient(list(self.form.parameters()))
            optimizer.step()
        end = local.end(self.steps)
        self.rounds[one.engine.round] = Kept(end.kept, one.engine.round), kept
        return {MODEL: flatten(self.form), **end.sections}
