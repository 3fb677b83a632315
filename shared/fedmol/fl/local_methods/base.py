"""What every local method is made of. Tensors are used by their own methods, so that settings load without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from fedmol.fl.payload import Vector

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

    Tensors = Mapping[str, Sequence[Tensor]]  # by name, one tensor for each parameter, on the parameters' device

OnGradient = Callable[["Sequence[Parameter]"], None]  # changes the gradients in place, on the parameters' device
Vectors = Mapping[str, Vector]  # by name, each as long as the model


@dataclass(frozen=True)
class RoundEnd:
    """What a local method leaves behind."""

    sections: Vectors = field(default_factory=dict)  # that are sent with the model
    kept: Vectors = field(default_factory=dict)  # at the site, for its next round if the update counts


class LocalMethod(Protocol):
    """The settings of a method are the method.

    It has no state of its own. What lasts from round to round comes as `kept`, which is what `after_round` gave in the
    last round of the site that counted, and is empty before that. What lasts from step to step is in `sums`.
    """

    @property
    def name(self) -> str: ...

    sums: ClassVar[tuple[str, ...]]  # names of what adds up in a round, from 0

    def before_round(self, start: Tensors, kept: Tensors, sums: Tensors) -> OnGradient | None:
        """What is done to the gradient in each step of a round; None where nothing is.

        `start` are the sections that the round starts from, also where the round goes on in its middle. The tensors in
        `sums` may be changed in place, and nothing else.
        """

    def after_round(self, start: Vectors, kept: Vectors, sums: Vectors, steps: int) -> RoundEnd:
        """What becomes of the sums of the round's `steps` steps."""


class Stateless:
    """The part of a method that keeps nothing and sends the model alone."""

    sums: ClassVar[tuple[str, ...]] = ()

    def after_round(self, start: Vectors, kept: Vectors, sums: Vectors, steps: int) -> RoundEnd:
        return RoundEnd()
