"""OpenFL's task runner hands vectors and rounds to the site's training, and back, as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedmol.fl.payload import CONTROL, MODEL, Payload, Section, Sections, Vector
from fedmol_collaborator.openfl_adapter.codec import Bytes
from fedmol_collaborator.openfl_adapter.task_runner import SiteTaskRunner
from fedmol_collaborator.site_training import Trained, Validated

VECTORS = {MODEL: np.array([1.5, -2.0, np.pi], np.float32), CONTROL: np.array([0.25, 0.0, -1.0], np.float32)}
PEER = "c-0123456789abcdef"


class Training:
    """Notes what it is asked for, and trains every section to its double."""

    molecules, validation_molecules = 12, 3
    payload = Payload((Section(MODEL, 3), Section(CONTROL, 3)))

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, dict[str, list[float]]]] = []

    def validate(self, round: int, model: Vector) -> Validated:
        self.asked.append(("validate", round, {MODEL: model.tolist()}))
        return Validated(nll=71.5, seconds=0.5)

    def train(self, round: int, start: Sections) -> Trained:
        self.asked.append(("train", round, {name: one.tolist() for name, one in start.items()}))
        return Trained({name: 2 * one for name, one in start.items()}, loss=2.5, seconds=4.0)


def _runner() -> tuple[SiteTaskRunner, Training]:
    training: Any = Training()
    return SiteTaskRunner(training), training


def _received(*names: str) -> dict[str, Any]:
    """Tensors as OpenFL hands them over: bytes, decoded by the codec of the plan."""
    sent = {name: Bytes().forward(VECTORS[name]) for name in names}
    return {name: Bytes().backward(content, metadata) for name, (content, metadata) in sent.items()}


def test_a_model_is_validated_in_a_round_counted_from_1() -> None:
    runner, training = _runner()
    tensors, rest = runner.validate_task(PEER, 4, _received(MODEL))
    assert training.asked == [("validate", 5, {MODEL: VECTORS[MODEL].tolist()})]
    assert rest == {}
    values = {key.tensor_name: (float(value), key) for key, value in tensors.items()}
    assert {name: value for name, (value, _) in values.items()} == {"negative_nll": -71.5, "seconds": 0.5}
    for _, key in values.values():
        assert (key.origin, key.round_number, key.report, key.tags) == (PEER, 4, True, ("metric", "validate_agg"))


def test_every_section_is_trained_and_sent_as_it_travels() -> None:
    runner, training = _runner()
    tensors, rest = runner.train_task(PEER, 0, _received(MODEL, CONTROL))
    assert training.asked == [("train", 1, {name: one.tolist() for name, one in VECTORS.items()})]
    assert rest == {}
    sections = {key.tensor_name: value for key, value in tensors.items() if not key.report}
    assert {name: value.tobytes() for name, value in sections.items()} == {
        name: (2 * one).astype("<f4").tobytes() for name, one in VECTORS.items()
    }
    metrics = {key.tensor_name: float(value) for key, value in tensors.items() if key.report}
    assert metrics == {"loss": 2.5, "seconds": 4.0}
    assert {key.tags for key in tensors if not key.report} == {("trained",)}


def test_validation_asks_for_the_model_alone_and_training_for_all_sections() -> None:
    runner, _ = _runner()
    asked = {
        task: [(key.tensor_name, key.tags) for key in runner.get_required_tensorkeys_for_function(task)]
        for task in ("validate_task", "train_task")
    }
    assert asked == {
        "validate_task": [(MODEL, ("model",))],
        "train_task": [(MODEL, ("model",)), (CONTROL, ("model",))],
    }


def test_sizes_are_those_of_the_shard() -> None:
    loader = _runner()[0].data_loader
    assert (loader.get_train_data_size(), loader.get_valid_data_size()) == (12, 3)


def test_single_numbers_travel_as_float32() -> None:
    content, metadata = Bytes().forward(np.array(2.5))
    assert np.frombuffer(content, "<f4").tolist() == [2.5]
    assert metadata == {"int_list": []}
