"""What every local method is made of. Tensors are used by their own methods, so that settings load without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

OnGradient = Callable[["Sequence[Parameter]"], None]  # changes the gradients in place, on the parameters' device


class LocalMethod(Protocol):
    """The settings of a method are the method."""

    @property
    def name(self) -> str: ...

    def before_round(self, start: Sequence[Tensor]) -> OnGradient | None:
        """What is done to the gradient in each step of a round; None where nothing is.

        `start` is the model that the round starts from, one tensor for each parameter, on the parameters' device. It
        is the round's model also where a round goes on in its middle.
        """
