"""How the sites' updates become the next model.

A strategy is a pure step from (current sections, updates, state) to (next sections, next state). Updates come in the
order of the sites' names, so that the result does not depend on who answered first. The state is saved with each
round's model, and a restart goes on exactly where it was. A new strategy is one module here, with its settings as the
class, its place in `AnyStrategy`, and its test.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fedmol.fl.strategies.base import State, Strategy
from fedmol.fl.strategies.fedadam import FedAdam
from fedmol.fl.strategies.fedavg import FedAvg
from fedmol.fl.strategies.scaffold import Scaffold

AnyStrategy = Annotated[FedAvg | FedAdam | Scaffold, Field(discriminator="name")]

__all__ = ["AnyStrategy", "FedAdam", "FedAvg", "Scaffold", "State", "Strategy"]
