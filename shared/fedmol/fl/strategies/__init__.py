"""How the sites' updates become the next model.

A strategy is a pure step from (current sections, updates, state) to (next sections, next state). Updates come in the
order of the sites' names, so that the result does not depend on who answered first. The state is saved with each
round's model, and a restart goes on exactly where it was.

A new strategy is one module here: a `Closed` class whose fields are its settings. It is discovered automatically;
`strategy` in federation.yaml selects it by its name. A strategy and a local method of the same name need each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from fedmol.fl.algorithms import algorithms_in, names
from fedmol.fl.strategies.base import State, Strategy
from fedmol.fl.strategies.fedavg import FedAvg

_FOUND = algorithms_in(__name__, __path__, "step")
NAMES = names(_FOUND)

if TYPE_CHECKING:
    AnyStrategy = Strategy
else:
    AnyStrategy = Annotated[Union[_FOUND], Field(discriminator="name")]  # noqa: UP007

__all__ = ["NAMES", "AnyStrategy", "FedAvg", "State", "Strategy"]
