"""Federated averaging (McMahan et al. 2017, arXiv 1602.05629, Algorithm 1).

    w_{t+1} = w_t + delta,    delta = sum_k (n_k / n) w_k - w_t

where w_k is site k's model after its local steps and n_k the number of its molecules. The mean is summed in float64;
delta and its sum with w_t are float32, which is what a site that receives the delta alone would compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fedmol.closed import Closed
from fedmol.fl.payload import Payload, Sections, model_payload
from fedmol.fl.strategies.base import State, weighted_means
from fedmol.fl.updates import Update


class FedAvg(Closed):
    """The mean of the sites' models, weighted by their molecules. It keeps no state."""

    name: Literal["fedavg"] = "fedavg"

    def payload(self, parameters: int) -> Payload:
        return model_payload(parameters)

    def step(
        self, payload: Payload, current: Sections, updates: Sequence[Update], state: State
    ) -> tuple[Sections, State]:
        following = {section.name: np.empty(section.length, np.float32) for section in payload.sections}
        for section in payload.sections:
            for part, mean in weighted_means(updates, section):
                start, end = current[section.name][part], following[section.name][part]
                end[:] = mean
                end -= start
                end += start
        return following, state
