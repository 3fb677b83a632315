"""SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378, Algorithm 1): control variates against unlike sites' drift.

    x = x + sum_{i in S} (n_i / n_S) (y_i - x)           the model, as federated averaging has it (eta_g = 1)
    c = c + sum_{i in S} p_i (c_i+ - c_i)                 the server's control variate

where S are the sites that count in the round, n_S their molecules, and p_i the share of site i in the molecules of all
members. So c stays sum_i p_i c_i over all members, an estimate of the gradient of the federation's objective with its
weights; with equal shares, p_i is the paper's 1 / N. What a site does is `fedmol.fl.local_methods.scaffold`. Where
members or shares change, c and every c_i begin anew with 0, see `fedmol.fl.section_shares`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fedmol.closed import Closed
from fedmol.fl.payload import CONTROL, MODEL, Payload, Section, Sections, model_payload
from fedmol.fl.strategies.base import State, weighted_sums
from fedmol.fl.strategies.fedavg import FedAvg
from fedmol.fl.updates import Update


class Scaffold(Closed):
    """It goes with the local method of the same name. The server keeps no state besides what it sends."""

    name: Literal["scaffold"]

    def payload(self, parameters: int) -> Payload:
        return Payload((Section(MODEL, parameters), Section(CONTROL, parameters)))

    def step(
        self, payload: Payload, current: Sections, updates: Sequence[Update], state: State
    ) -> tuple[Sections, State]:
        section = payload.by_name[CONTROL]
        following, _ = FedAvg().step(model_payload(section.length), current, updates, state)
        control = np.empty(section.length, np.float32)
        for part, change in weighted_sums(updates, section, [update.share for update in updates]):
            control[part] = current[CONTROL][part] + change
        return {**following, CONTROL: control}, state
