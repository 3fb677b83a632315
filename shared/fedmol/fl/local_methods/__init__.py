"""What a site does in a round besides plain steps of its optimiser.

A method is its settings. `before_round` is given what the round starts from, and returns what is done to the gradient
in each step, before it is clipped and before the optimiser sees it; `after_round` says what is sent besides the model
and what the site keeps for its next round. Every process of a site does the same. A new method is one module here,
with its settings as the class, its place in `AnyLocalMethod`, and its test.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fedmol.fl.local_methods.base import LocalMethod, OnGradient, RoundEnd, Vectors
from fedmol.fl.local_methods.fedprox import FedProx
from fedmol.fl.local_methods.plain import Plain
from fedmol.fl.local_methods.provisional_state import Kept, holding
from fedmol.fl.local_methods.scaffold import Scaffold

AnyLocalMethod = Annotated[Plain | FedProx | Scaffold, Field(discriminator="name")]

__all__ = [
    "AnyLocalMethod",
    "FedProx",
    "Kept",
    "LocalMethod",
    "OnGradient",
    "Plain",
    "RoundEnd",
    "Scaffold",
    "Vectors",
    "holding",
]
