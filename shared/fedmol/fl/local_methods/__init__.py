"""What a site does in a round besides plain steps of its optimiser.

A method is its settings. `before_round` is given what the round starts from, and returns what is done to the gradient
in each step, before it is clipped and before the optimiser sees it; `after_round` says what is sent besides the model
and what the site keeps for its next round. Every process of a site does the same.

A new method is one module here: a `Closed` class whose fields are its settings. It is discovered automatically;
`local_method` in federation.yaml selects it by its name. A method and a strategy of the same name need each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from fedmol.fl.algorithms import algorithms_in, names
from fedmol.fl.local_methods.base import LocalMethod, OnGradient, RoundEnd, Vectors
from fedmol.fl.local_methods.plain import Plain
from fedmol.fl.local_methods.provisional_state import Kept, holding

_FOUND = algorithms_in(__name__, __path__, "before_round")
NAMES = names(_FOUND)

if TYPE_CHECKING:
    AnyLocalMethod = LocalMethod
else:
    AnyLocalMethod = Annotated[Union[_FOUND], Field(discriminator="name")]  # noqa: UP007

__all__ = ["NAMES", "AnyLocalMethod", "Kept", "LocalMethod", "OnGradient", "Plain", "RoundEnd", "Vectors", "holding"]
