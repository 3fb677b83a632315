"""FedAdam: Adam at the server, with the sites' mean movement as its gradient (Reddi et al. 2021, arXiv 2003.00295,
Algorithm 2).

    delta   = sum_k (n_k / n) (w_k - w)                 what the sites moved on average
    m       = beta_1 m + (1 - beta_1) delta
    v       = beta_2 v + (1 - beta_2) delta^2
    w_next  = w + learning_rate m / (sqrt(v) + tau)

with m = 0 and v = tau^2 before round 1, and without correction of their bias, as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from fedmol.closed import Closed
from fedmol.fl.payload import Payload, Section, Sections, Vector, model_payload
from fedmol.fl.strategies.base import State, weighted_means
from fedmol.fl.updates import Update

_Decay = Annotated[float, Field(ge=0, lt=1)]


class FedAdam(Closed):
    """State: `m.<section>` and `v.<section>`, each as long as the section.

    `tau` sets how far entries that hardly move are slowed down: below it, a movement counts as small.
    """

    name: Literal["fedadam"]
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    beta_1: _Decay = 0.9
    beta_2: _Decay = 0.99
    tau: Annotated[float, Field(gt=0)] = 1e-3

    def payload(self, parameters: int) -> Payload:
        return model_payload(parameters)

    def step(
        self, payload: Payload, current: Sections, updates: Sequence[Update], state: State
    ) -> tuple[Sections, State]:
        following: dict[str, Vector] = {}
        moments: dict[str, Vector] = {}
        for section in payload.sections:
            first, second = self._moments(section, state)
            following[section.name] = np.empty(section.length, np.float32)
            for part, mean in weighted_means(updates, section):
                start = current[section.name][part]
                delta = mean - start
                first[part] = self.beta_1 * first[part] + (1 - self.beta_1) * delta
                second[part] = self.beta_2 * second[part] + (1 - self.beta_2) * delta**2
                # From the moments as they are kept, so that a restart changes nothing.
                step = first[part].astype(np.float64) / (np.sqrt(second[part], dtype=np.float64) + self.tau)
                following[section.name][part] = start + self.learning_rate * step
            moments |= {f"m.{section.name}": first, f"v.{section.name}": second}
        return following, moments

    def _moments(self, section: Section, state: State) -> tuple[Vector, Vector]:
        if f"m.{section.name}" in state:
            return state[f"m.{section.name}"].copy(), state[f"v.{section.name}"].copy()
        return np.zeros(section.length, np.float32), np.full(section.length, self.tau**2, np.float32)
