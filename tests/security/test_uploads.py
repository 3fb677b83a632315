"""An upload is exactly what was agreed, or it is refused whole, and its site may send a right one (rows S1, S2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from openfl.protocols import base_pb2

from benchmarks.federation.member import messages, metric, section
from fedmol.fl.tasks import LOSS, NEGATIVE_NLL, SECONDS, VALIDATE
from tests.support.attacker import ATTACKER, Draft, draft, refused
from tests.support.light import Light

Case = Callable[[Draft], bytes]


def _large(one: Draft) -> bytes:
    """A model that would take the federation over."""
    return (np.frombuffer(one.values, np.float32) * np.float32(1e6)).tobytes()


def _for_task(one: Draft, task: str) -> bytes:
    return one.whole(*one.metrics(), one.model(_large(one)), task=task)


def _half(one: Draft) -> bytes:
    return one.values[: len(one.values) // 8 * 4]


def _metadata(**fields: object) -> list[base_pb2.MetadataProto]:
    return [base_pb2.MetadataProto(**fields)]


TENSORS: dict[str, Case] = {
    "two-models-the-bad-one-first": lambda one: one.whole(*one.metrics(), one.model(_large(one)), one.model()),
    "two-models-the-bad-one-last": lambda one: one.whole(*one.metrics(), one.model(), one.model(_large(one))),
    "two-models-the-second-unchanged": lambda one: one.whole(
        *one.metrics(), one.model(_large(one)), one.model(one.current)
    ),
    "the-same-model-twice": lambda one: one.whole(*one.metrics(), one.model(), one.model()),
    "a-model-as-a-metric-beside-it": lambda one: one.whole(
        *one.metrics(), metric("model", 1.0, one.round), one.model()
    ),
    "a-tensor-too-many": lambda one: one.whole(*one.metrics(), one.model(), one.model(name="model2")),
    "a-metric-too-many": lambda one: one.whole(*one.metrics(), metric("accuracy", 1.0, one.round), one.model()),
    "a-metric-twice": lambda one: one.whole(*one.metrics(), metric(LOSS, 0.0, one.round), one.model()),
    "the-other-task-s-metric": lambda one: one.whole(
        *one.metrics(), metric(NEGATIVE_NLL, -9.0, one.round), one.model()
    ),
    "no-tensors": lambda one: one.whole(),
    "no-model": lambda one: one.whole(*one.metrics()),
    "no-metrics": lambda one: one.whole(one.model()),
    "no-loss": lambda one: one.whole(metric(SECONDS, 0.0, one.round), one.model()),
    "no-seconds": lambda one: one.whole(metric(LOSS, 2.0, one.round), one.model()),
    "the-model-in-two-halves": lambda one: one.whole(
        *one.metrics(), one.model(_half(one)), one.model(one.values[len(_half(one)) :])
    ),
    "another-name": lambda one: one.with_model(name="modell"),
    "a-name-in-capitals": lambda one: one.with_model(name="MODEL"),
    "no-name": lambda one: one.with_model(name=""),
    "a-name-of-a-path": lambda one: one.with_model(name="../../model"),
    "a-name-of-100-kB": lambda one: one.with_model(name="m" * 100_000),
    "a-delta": lambda one: one.with_model(tags=("compressed", "delta", "trained")),
    "aggregated": lambda one: one.with_model(tags=("aggregated",)),
    "tags-in-another-order": lambda one: one.with_model(tags=("trained", "compressed")),
    "no-tags": lambda one: one.with_model(tags=()),
    "a-tag-too-many": lambda one: one.with_model(tags=("compressed", "trained", "trained")),
    "a-thousand-tags": lambda one: one.with_model(tags=("compressed", "trained", *["x"] * 1000)),
    "a-tag-that-is-two": lambda one: one.with_model(tags=("compressed,trained",)),
    "the-model-tagged-as-a-metric": lambda one: one.with_model(tags=("compressed", "metric"), report=True),
    "the-model-reported": lambda one: one.with_model(report=True),
    "a-metric-that-is-not-reported": lambda one: one.whole(
        (base_pb2.NamedTensor(**_said_of_loss(one, report=False)).SerializeToString(), b"\0\0\0@"),
        metric(SECONDS, 0.0, one.round),
        one.model(),
    ),
    "a-metric-tagged-as-validation": lambda one: one.whole(
        metric(LOSS, 2.0, one.round, validated=True), metric(SECONDS, 0.0, one.round), one.model()
    ),
    "lossy": lambda one: one.with_model(lossless=False),
    "the-model-of-the-next-round": lambda one: one.whole(*one.metrics(), section(one.values, one.round + 1)),
    "the-model-of-the-round-before": lambda one: one.whole(*one.metrics(), section(one.values, one.round - 1)),
    "a-metric-of-another-round": lambda one: one.whole(
        metric(LOSS, 2.0, one.round + 1), metric(SECONDS, 0.0, one.round), one.model()
    ),
    "a-table-of-values": lambda one: one.with_model(transformer_metadata=_metadata(int_to_float={0: 1e9})),
    "a-mask": lambda one: one.with_model(transformer_metadata=_metadata(bool_list=[True] * 8)),
    "another-shape": lambda one: one.with_model(shape=(2, len(one.values) // 8)),
    "another-length": lambda one: one.with_model(shape=(len(one.values) // 4 + 1,)),
    "the-length-in-bytes": lambda one: one.with_model(shape=(len(one.values),)),
    "a-negative-length": lambda one: one.with_model(shape=(-1,)),
    "two-transformations": lambda one: one.with_model(
        transformer_metadata=2 * _metadata(int_list=[len(one.values) // 4])
    ),
    "a-hundred-transformations": lambda one: one.with_model(transformer_metadata=100 * _metadata(int_list=[1])),
    "no-transformation": lambda one: one.with_model(transformer_metadata=[]),
}

TASKS: dict[str, Case] = {
    "an-unknown-task": lambda one: _for_task(one, "foo"),
    "no-task": lambda one: _for_task(one, ""),
    "the-task-in-capitals": lambda one: _for_task(one, "TRAIN"),
    "the-task-with-a-zero-byte": lambda one: _for_task(one, "train\0"),
    "the-task-of-a-path": lambda one: _for_task(one, "../train"),
    "a-task-of-300-bytes": lambda one: _for_task(one, "t" * 300),
    "openfl-s-third-task": lambda one: _for_task(one, "locally_tuned_model_validation"),
    "a-model-in-the-validation": lambda one: one.whole(
        *_validation(one), one.model(_large(one), tags=("compressed", "metric", "validate_agg")), task=VALIDATE.name
    ),
    "a-trained-model-in-the-validation": lambda one: one.whole(
        *_validation(one), one.model(_large(one)), task=VALIDATE.name
    ),
    "the-training-s-metrics-in-the-validation": lambda one: one.whole(*one.metrics(), task=VALIDATE.name),
    "the-validation-s-metrics-in-the-training": lambda one: one.whole(*_validation(one), one.model()),
}

SIZES = {"the-largest": 2**31 - 1, "the-smallest": -(2**31), "minus-126": -126, "none": 0, "one-more": 103}


def _said_of_loss(one: Draft, **changed: object) -> dict[str, object]:
    return {
        "name": LOSS,
        "round_number": one.round - 1,
        "lossless": True,
        "tags": ["compressed", "metric"],
        "transformer_metadata": _metadata(int_list=[]),
        **changed,
    }


def _validation(one: Draft) -> list[tuple[bytes, bytes | memoryview]]:
    return [metric(name, value, one.round, validated=True) for name, value in ((NEGATIVE_NLL, -80.0), (SECONDS, 0.0))]


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_were_not_agreed(under_attack: Light, case: str) -> None:
    refused(under_attack, messages([TENSORS[case](draft(under_attack))]))


@pytest.mark.parametrize("case", TASKS)
def test_tasks_that_were_not_agreed(under_attack: Light, case: str) -> None:
    refused(under_attack, messages([TASKS[case](draft(under_attack))]))


@pytest.mark.parametrize("case", SIZES)
def test_a_number_of_molecules_that_was_not_agreed(under_attack: Light, case: str) -> None:
    """`play` has the weights that follow from the agreement, whatever the upload of the validation says."""
    one = draft(under_attack)
    said = SIZES[case]
    assert said != one.molecules
    one.member.validate(under_attack.round, molecules=said)
    refused(under_attack, messages([one.whole(*one.metrics(), one.model(), molecules=said)]))


@pytest.mark.parametrize("ahead", [1, 1000, 2**31 - 1000])
def test_an_upload_for_a_round_that_has_not_begun_is_refused(under_attack: Light, ahead: int) -> None:
    later = replace(draft(under_attack), round=under_attack.round + ahead)
    refused(under_attack, messages([later.honest()]))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_an_honest_upload_counts_in_any_order_of_its_tensors(under_attack: Light, order: tuple[int, ...]) -> None:
    one = draft(under_attack)
    tensors = [*one.metrics(), one.model()]
    one.send(one.whole(*(tensors[place] for place in order)))
    under_attack.report("east", "model")
    under_attack.validate(ATTACKER)
    under_attack.close(under_attack.sites)


@pytest.mark.parametrize("size", [2**14, 2**16 + 1, 2**21])
def test_an_honest_upload_counts_in_pieces_of_any_size(under_attack: Light, size: int) -> None:
    one = draft(under_attack)
    one.send(one.honest(), size)
    under_attack.report("east", "model")
    under_attack.validate(ATTACKER)
    under_attack.close(under_attack.sites)
