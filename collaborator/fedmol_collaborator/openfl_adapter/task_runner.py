"""OpenFL's task runner and data loader, handing the work to the site's own training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from openfl.federated import DataLoader, TaskRunner
from openfl.utilities import TensorKey

from fedmol.fl.payload import MODEL, Section, Vector, decode, encode
from fedmol.fl.tasks import LOSS, NEGATIVE_NLL, SECONDS
from fedmol_collaborator.site_training import SiteTraining

Tensors = dict[TensorKey, Any]


class ShardSizes(DataLoader):  # type: ignore[misc]
    """OpenFL asks its loader for sizes only: they are the weights of the average."""

    def __init__(self, training: int, validation: int) -> None:
        self.training, self.validation = training, validation

    def get_feature_shape(self) -> list[int]:
        return [1]

    def get_train_data_size(self) -> int:
        return self.training

    def get_valid_data_size(self) -> int:
        return self.validation


class SiteTaskRunner(TaskRunner):  # type: ignore[misc]
    """Validation takes the round's model, training all sections. OpenFL's rounds start at 0, ours at 1."""

    def __init__(self, training: SiteTraining) -> None:
        super().__init__(data_loader=ShardSizes(training.molecules, training.validation_molecules))
        self.training, self.sections = training, training.payload.by_name

    def get_required_tensorkeys_for_function(self, func_name: str, **_: Any) -> list[TensorKey]:
        names = [MODEL] if func_name == "validate_task" else self.sections
        return [TensorKey(name, "GLOBAL", 0, False, ("model",)) for name in names]

    def validate_task(self, col_name: str, round_num: int, input_tensor_dict: dict[str, Any], **_: Any) -> Any:
        measured = self.training.validate(round_num + 1, self._vectors(input_tensor_dict)[MODEL])
        metrics = {NEGATIVE_NLL: -measured.nll, SECONDS: measured.seconds}
        return _metric_tensors(metrics, col_name, round_num, ("metric", "validate_agg")), {}

    def train_task(self, col_name: str, round_num: int, input_tensor_dict: dict[str, Any], **_: Any) -> Any:
        trained = self.training.train(round_num + 1, self._vectors(input_tensor_dict))
        metrics = {LOSS: trained.loss, SECONDS: trained.seconds}
        sections = {
            TensorKey(name, col_name, round_num, False, ("trained",)): _encoded(section, trained.sections[name])
            for name, section in self.sections.items()
        }
        return _metric_tensors(metrics, col_name, round_num, ("metric",)) | sections, {}

    def _vectors(self, tensors: dict[str, Any]) -> dict[str, Vector]:
        return {
            name: decode(self.sections[name], np.asarray(tensor).view(np.uint8).data)
            for name, tensor in tensors.items()
        }


def _encoded(section: Section, vector: Vector) -> NDArray[Any]:
    return np.frombuffer(encode(section, vector), section.wire_type)


def _metric_tensors(metrics: dict[str, float], peer: str, round_num: int, tags: tuple[str, ...]) -> Tensors:
    return {TensorKey(name, peer, round_num, True, tags): np.array(value) for name, value in metrics.items()}
