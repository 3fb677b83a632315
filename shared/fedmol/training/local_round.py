"""A local method in one round of one site: its vectors as tensors beside the parameters, and what has added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn

from fedmol.fl.payload import Vector
from fedmol.training.parameter_vector import Manifest, manifest, tensors_of, vector_of

if TYPE_CHECKING:  # a machine with a bare torch can train
    from fedmol.fl.local_methods import LocalMethod, OnGradient, RoundEnd, Vectors

    Tensors = Mapping[str, Sequence[Tensor]]


@dataclass
class LocalRound:
    """For one call of `Team.train`, which hands copies of it to all processes before it begins.

    `start` and `kept` as the method's `before_round` takes them; `sums` are those of the steps that the round already
    has behind it, empty where it begins.
    """

    method: LocalMethod
    start: Vectors
    kept: Vectors = field(default_factory=dict)
    sums: Vectors = field(default_factory=dict)
    _model: nn.Module | None = field(default=None, init=False)
    _live: Tensors = field(default_factory=dict, init=False)

    def begin(self, model: nn.Module) -> OnGradient | None:
        """What is done to the gradient in each step. The model is where it will be trained."""
        zeros = {name: [p.detach().new_zeros(p.shape) for p in model.parameters()] for name in self.method.sums}
        self._model, self._live = model, {**zeros, **_beside(model, self.sums)}
        return self.method.before_round(_beside(model, self.start), _beside(model, self.kept), self._live)

    def so_far(self) -> dict[str, Vector]:
        """What has added up since the round's start."""
        if self._model is None:
            return dict(self.sums)
        names, layout = [name for name, _ in self._model.named_parameters()], manifest(self._model)
        return {key: _flat(names, tensors, layout) for key, tensors in self._live.items()}

    def end(self, steps: int) -> RoundEnd:
        """What becomes of it after all `steps` steps of the round."""
        return self.method.after_round(self.start, self.kept, self.so_far(), steps)


def _beside(model: nn.Module, vectors: Vectors) -> dict[str, list[Tensor]]:
    layout = manifest(model)
    return {
        name: [parts[key].to(parameter.device) for key, parameter in model.named_parameters()]
        for name, parts in ((name, tensors_of(vector, layout)) for name, vector in vectors.items())
    }


def _flat(names: Sequence[str], tensors: Sequence[Tensor], layout: Manifest) -> Vector:
    return vector_of(dict(zip(names, tensors, strict=True)), layout)
