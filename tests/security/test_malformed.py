"""Bytes that are no upload and numbers that are none: refused, and neither the run nor a restart ends of them (S3)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest

from benchmarks.federation.member import OPENFL, messages, metric, varint
from fedmol.fl.messages import ECHO, JOIN, LARGEST_CONTROL, LARGEST_ECHO, OPENING, PROBE, REPORT, SERVICE
from fedmol.fl.tasks import LOSS, NEGATIVE_NLL, SECONDS, VALIDATE
from fedmol.telemetry.events.run_events import RunStarted
from tests.support.attacker import ATTACKER, UPLOAD, Draft, draft, refusal, refused
from tests.support.light import Light

Case = Callable[[Draft], bytes]
_ENDLESS = b"\xff" * 9 + b"\x01"  # a varint of 2^64 - 1


def _noise(count: int) -> bytes:
    return random.Random(count).randbytes(count)


def _head(one: Draft) -> bytes:
    return one.whole()


NO_UPLOADS: dict[str, Case] = {
    "133-bytes-of-noise": lambda one: _noise(133),
    "a-megabyte-of-noise": lambda one: _noise(2**20),
    "zeros": lambda one: bytes(133),
    "text": lambda one: b"GET / HTTP/1.1\r\n" * 9,
    "cut-off-in-the-header": lambda one: one.honest()[:20],
    "cut-off-before-the-tensors": lambda one: _head(one),
    "cut-off-in-a-metric": lambda one: one.honest()[: len(_head(one)) + 30],
    "cut-off-in-the-model": lambda one: one.honest()[: len(one.values) // 2],
    "cut-off-in-the-last-number": lambda one: one.honest()[:-1],
    "followed-by-a-byte": lambda one: one.honest() + b"\0",
    "followed-by-itself": lambda one: one.honest() * 2,
    "followed-by-another-head": lambda one: one.honest() + _head(one),
    "without-a-head": lambda one: one.honest()[len(_head(one)) :],
    "fields-in-another-order": lambda one: one.honest()[len(_head(one)) :] + _head(one),
    "an-unknown-field": lambda one: _head(one) + b"\x7a\x03abc" + one.honest()[len(_head(one)) :],
    "a-header-of-2^63-bytes": lambda one: b"\x0a" + varint(2**63) + one.honest(),
    "a-header-of-2^64-bytes": lambda one: b"\x0a" + _ENDLESS + one.honest(),
    "a-length-without-an-end": lambda one: b"\x0a" + b"\xff" * 100,
    "a-tensor-of-2^62-bytes": lambda one: _head(one) + b"\x2a" + varint(2**62) + one.values,
    "a-tensor-of-no-bytes": lambda one: _head(one) + b"\x2a\0" + one.honest()[len(_head(one)) :],
    "values-longer-than-their-tensor": lambda one: _head(one) + b"\x2a\x08\x3a" + varint(2**40) + one.values,
    "a-name-longer-than-its-tensor": lambda one: _head(one) + b"\x2a\x08\x0a" + varint(2**20) + one.values,
    "a-name-that-is-no-text": lambda one: _head(one) + b"\x2a\x06\x0a\x04\xff\xfe\xfd\xfc" + one.values,
    "a-group": lambda one: _head(one) + b"\x2b" * 1000,
    "nested-a-thousand-deep": lambda one: _head(one) + b"\x2a" + varint(4000) + b"\x32\x80\x1f" * 1333,
}


def _measuring(**values: float) -> Case:
    def upload(one: Draft) -> bytes:
        metrics = [metric(name, values.get(name, 1.0), one.round) for name in (LOSS, SECONDS)]
        return one.whole(*metrics, one.model())

    return upload


def _validating(nll: float) -> Case:
    def upload(one: Draft) -> bytes:
        values = {NEGATIVE_NLL: nll, SECONDS: 0.0}
        metrics = [metric(name, value, one.round, validated=True) for name, value in values.items()]
        return one.whole(*metrics, task=VALIDATE.name)

    return upload


def _of_bytes(content: bytes) -> Case:
    """The loss as other bytes than those of one number."""
    return lambda one: one.whole(
        (metric(LOSS, 2.0, one.round)[0], content), metric(SECONDS, 0.0, one.round), one.model()
    )


def _weighing(place: int, value: float) -> Case:
    def upload(one: Draft) -> bytes:
        values = np.frombuffer(one.values, np.float32).copy()
        values[place] = value
        return one.with_model(values.tobytes())

    return upload


def _longer(count: int, said: bool = False) -> Case:
    """The model with `count` bytes more, or fewer, that says its own or the agreed shape."""

    def upload(one: Draft) -> bytes:
        values = one.values[:count] if count < 0 else one.values + bytes(count)
        return one.with_model(values, **({"shape": (len(one.values) // 4,)} if said else {}))

    return upload


_NONE = (math.nan, math.inf, -math.inf)
NUMBERS: dict[str, Case] = {
    **{f"loss-{value}": _measuring(loss=value) for value in _NONE},
    **{f"seconds-{value}": _measuring(seconds=value) for value in (*_NONE, -1.0)},
    **{f"nll-{value}": _validating(value) for value in _NONE},
    "a-metric-of-two-numbers": _of_bytes(bytes(8)),
    "a-metric-of-no-number": _of_bytes(b""),
    "a-metric-in-float64": _of_bytes(np.float64(2).tobytes()),
    **{f"weight-{place}-{value}": _weighing(place, value) for place in (0, 70_001, -1) for value in _NONE[:2]},
    **{f"a-model-of-{count:+}-bytes": _longer(count) for count in (-4, -1, 1, 4, 2**20)},
    **{f"a-model-of-{count:+}-bytes-of-the-agreed-shape": _longer(count, said=True) for count in (-4, 4)},
    "a-model-of-no-bytes": lambda one: one.with_model(b""),
    "a-model-in-float64": lambda one: one.with_model(np.frombuffer(one.values, np.float32).astype(float).tobytes()),
}

STREAMS: dict[str, Callable[[Draft], list[bytes]]] = {
    "no-messages": lambda one: [],
    "an-empty-message": lambda one: [b""],
    "a-message-that-is-no-part": lambda one: [one.honest()],
    "a-part-that-says-too-much": lambda one: [b"\x08\x01\x12" + varint(2**30) + one.values],
    "a-part-without-an-end": lambda one: [b"\x12" + b"\xff" * 20],
    "half-of-the-parts": lambda one: list(messages([one.honest()], 2**18))[:2],
    "the-parts-in-another-order": lambda one: list(messages([one.honest()], 2**18))[::-1],
    "a-part-twice": lambda one: [part for part in messages([one.honest()], 2**18) for _ in range(2)],
    "a-byte-at-a-time": lambda one: list(messages([one.honest()], 1)),
    "ten-thousand-empty-parts": lambda one: 10_000 * [b"\x08\0\x12\0"],
}


@pytest.mark.parametrize("case", NO_UPLOADS)
def test_bytes_that_are_no_upload(under_attack: Light, case: str) -> None:
    refused(under_attack, messages([NO_UPLOADS[case](draft(under_attack))]))


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_that_are_none(under_attack: Light, case: str) -> None:
    refused(under_attack, messages([NUMBERS[case](draft(under_attack))]))


@pytest.mark.parametrize("case", STREAMS)
def test_parts_that_are_no_upload(under_attack: Light, case: str) -> None:
    refused(under_attack, STREAMS[case](draft(under_attack)))


def test_the_round_before_is_answered_and_not_counted(under_attack: Light) -> None:
    """An honest site may be late by a round, and must not end of it."""
    under_attack.play()
    under_attack.members[ATTACKER].train(under_attack.round - 1, draft(under_attack).values, 101)
    under_attack.play()


@pytest.mark.parametrize("round", [-(2**31) + 1, -5, 0, 2**31 - 2])
def test_a_round_that_there_is_not_is_refused(under_attack: Light, round: int) -> None:
    refused(under_attack, messages([replace(draft(under_attack), round=round).honest()]))


@pytest.mark.parametrize("changed", [{"sender": "c-0000"}, {"sender": ""}, {"federation_uuid": "another"}])
def test_an_upload_in_another_s_name_or_of_another_run(under_attack: Light, changed: dict[str, str]) -> None:
    one = draft(under_attack)
    with pytest.raises(grpc.RpcError) as answer:
        one.send(one.whole(*one.metrics(), one.model(), molecules=one.molecules, **changed))
    assert answer.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    under_attack.play()


def test_an_upload_in_the_neighbour_s_name(under_attack: Light) -> None:
    one = draft(under_attack)
    neighbour = under_attack.members["east"].peer
    with pytest.raises(grpc.RpcError, match="certificate-of-another-site"):
        one.send(one.whole(*one.metrics(), one.model(), sender=neighbour))
    under_attack.play()


OTHER_CALLS = [
    *((OPENFL, name) for name in ("Ping", "GetTasks", "GetAggregatedTensor", UPLOAD)),
    *((SERVICE, name) for name in (JOIN, REPORT, PROBE, OPENING)),
]
BODIES = (b"", bytes(50), _noise(133), b"{}", b'{"run": ' * 5000, b"[" * 60_000)


@pytest.mark.parametrize(("service", "name"), OTHER_CALLS, ids=[name for _, name in OTHER_CALLS])
def test_any_call_with_a_body_that_is_none(under_attack: Light, service: str, name: str) -> None:
    one = under_attack.members[ATTACKER]
    for body in BODIES:
        answer = refusal(partial(one.call, name, body, service))
        assert answer.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT), body
    under_attack.play()


@pytest.mark.parametrize("name", [JOIN, REPORT, PROBE, OPENING, ECHO])
def test_a_call_that_says_more_than_it_may(under_attack: Light, name: str) -> None:
    largest = LARGEST_ECHO if name == ECHO else LARGEST_CONTROL
    one = under_attack.members[ATTACKER]
    answer = refusal(lambda: one.call(name, bytes(largest + 1), SERVICE))
    assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_tensor_that_there_is_not(under_attack: Light) -> None:
    one = under_attack.members[ATTACKER]
    others: list[dict[str, Any]] = [{"tensor_name": "optimizer"}, {"tags": ("trained",)}, {"report": True}]
    for changed in others:
        answer = refusal(partial(one.model, under_attack.round, **changed))
        assert answer.code() is grpc.StatusCode.FAILED_PRECONDITION
    for round in (under_attack.round - 1, under_attack.round + 1, -1):
        answer = refusal(partial(one.model, round))
        assert answer.code() is grpc.StatusCode.ABORTED
    under_attack.play()


def test_an_upload_larger_than_a_message_may_be(under_attack: Light) -> None:
    one = draft(under_attack)
    with pytest.raises(grpc.RpcError) as answer:
        one.send(one.honest() * 4, size=2**23)
    assert answer.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    under_attack.play()


def test_after_all_that_the_run_goes_on_when_the_aggregator_is_killed(under_attack: Light) -> None:
    """What was refused is not there any more when the open round is taken up again."""
    one = draft(under_attack)
    for upload in (_noise(133), one.with_model(b""), _weighing(7, math.nan)(one)):
        with pytest.raises(grpc.RpcError):
            one.send(upload)
    under_attack.report("east")
    restarted = len(under_attack.stage.events(RunStarted))
    under_attack.restart()
    assert len(under_attack.stage.events(RunStarted)) == restarted + 1
    assert under_attack.members["east"].tasks()[1] == []
    under_attack.play()
