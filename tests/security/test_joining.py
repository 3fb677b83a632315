"""What a site says of itself when it joins: what cannot be is refused by name, and harms nobody else (row S6)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import pytest

from benchmarks.federation.cases import counts
from fedmol.errors import Exit, FedmolError
from fedmol.fl.messages import JOIN, LARGEST_CONTROL, SERVICE
from fedmol.fl.refusals import decode_error
from fedmol.fl.versions import PROTOCOL, SEMANTICS, written
from fedmol.telemetry.events.site_events import SiteJoined, SiteRefused
from tests.golden.messages import recorded
from tests.support.attacker import ATTACKER, refusal
from tests.support.light import Build, Light, light_settings

Document = dict[str, Any]
HONEST = ("east", "model")
CLASSES = {"atoms": 8, "bonds": 4, "sizes": 10}  # of the vocabulary


def census(kind: str, change: Callable[[list[Any]], Any]) -> Callable[[Document], None]:
    """One histogram of the census with something done to it, or another thing in its place."""

    def spoil(document: Document) -> None:
        values = document["counts"]["census"][kind]
        changed = change(values)
        document["counts"]["census"][kind] = values if changed is None else changed

    return spoil


def put(*path: str, value: Any) -> Callable[[Document], None]:
    def spoil(document: Document) -> None:
        *parents, leaf = path
        for key in parents:
            document = document[key]
        document[leaf] = value

    return spoil


def without(*path: str) -> Callable[[Document], None]:
    def spoil(document: Document) -> None:
        *parents, leaf = path
        for key in parents:
            document = document[key]
        del document[leaf]

    return spoil


def each(name: str, change: Callable[[list[Any]], Any]) -> dict[str, Callable[[Document], None]]:
    return {f"{name}-{kind}": census(kind, change) for kind in CLASSES}


def first(value: Any) -> Callable[[list[Any]], Any]:
    return lambda values: [value, *values[1:]]


def last(value: Any) -> Callable[[list[Any]], Any]:
    return lambda values: [*values[:-1], value]


MALFORMED: dict[str, Callable[[Document], None]] = {
    **each("longer", lambda values: [*values, 0]),
    **each("shorter", lambda values: values[:-1]),
    **each("empty", lambda values: []),
    **each("a-thousand-classes", lambda values: values + [0] * 1000),
    **each("negative", last(-1)),
    **each("2^53", last(2**53)),
    **each("2^63", last(2**63)),
    **each("2^70", last(2**70)),
    **each("10^1000", last(10**1000)),
    **each("1e15", last(10**15)),
    **each("one-more", last(1)),
    **each("a-float", first(102.0)),
    **each("a-half", first(0.5)),
    **each("true", last(True)),
    **each("text", last("1")),
    **each("nothing", last(None)),
    **each("nested", lambda values: [values]),
    **each("a-text", lambda values: "1" * len(values)),
    **each("a-mapping", lambda values: {str(place): value for place, value in enumerate(values)}),
    **each("a-number", lambda values: 7),
    **each("all-zero", lambda values: [0] * len(values)),
    **each("twice", lambda values: [2 * value for value in values]),
    **{f"without-{kind}": without("counts", "census", kind) for kind in CLASSES},
    "without-a-census": without("counts", "census"),
    "a-census-of-nothing": put("counts", "census", value=None),
    "a-census-that-is-a-list": put("counts", "census", value=[1, 2, 3]),
    "another-kind-of-classes": put("counts", "census", "rings", value=[1]),
    "molecules-without-atoms": census("sizes", first(1)),
    **{
        f"molecules-{value!r}": put("counts", "molecules", value=value)
        for value in (10**9, 101, 103, 1, 0, -102, 2**31 - 1, 2**70, 102.0, "102", True, None, [102])
    },
    "without-molecules": without("counts", "molecules"),
    **{
        f"seconds-{value!r}": put("counts", "seconds_per_step", value=value)
        for value in (1e9, 3601, 0, -1, float("nan"), float("inf"), float("-inf"), "1", True, [1], 10**400)
    },
    **{f"shard-{value!r}": put("counts", "shard", value=value) for value in ("", "0" * 63, "G" * 64, 7, None)},
    "counts-that-are-a-list": put("counts", value=[102]),
    "counts-that-are-text": put("counts", value="102"),
    "more-in-the-counts": put("counts", "smiles", value=["CCO"]),
    "more-in-the-message": put("mood", value="fine"),
    "a-huge-name-of-more": put("x" * 10_000, value=1),
    "without-settings": without("settings"),
    "settings-that-are-nested": put("settings", "training.rounds", value={"a": {"b": 1}}),
    "settings-without-end": put("settings", value={str(number): number for number in range(3000)}),
    "a-setting-without-end": put("settings", "seed", value="x" * 30_000),
    "without-a-run": without("run"),
    "a-run-without-end": put("run", value="x" * 30_000),
    "no-semantics": put("semantics", value="1"),
    "a-protocol-that-is-a-number": put("protocol", value=2.0),
}

TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "noise": bytes(range(256)),
    "null": b"null",
    "a-list": b"[]",
    "nested-60,000-deep": b"[" * 60_000,
    "nested-in-the-counts": b'{"protocol":"2.0","counts":' + b'{"a":' * 10_000,
    "cut-off": b'{"protocol": "2.0", "run',
}

OTHERS: dict[str, tuple[Callable[[Document], None], Exit]] = {
    "another-run": (put("run", value="another"), Exit.UNKNOWN_RUN),
    "other-semantics": (put("semantics", value=SEMANTICS + 1), Exit.MODEL_DIFFERS),
    "another-major-version": (put("protocol", value="3.0"), Exit.PROTOCOL_DIFFERS),
    "no-version": (without("protocol"), Exit.PROTOCOL_DIFFERS),
    "another-vocabulary": (put("vocabulary", value="0" * 64), Exit.VOCABULARY_DIFFERS),
    "another-manifest": (put("manifest", value="0" * 64), Exit.MODEL_DIFFERS),
    "another-batch-size": (put("settings", "training.batch_size", value=17), Exit.BAD_SETTINGS),
    "one-setting-less": (without("settings", "seed"), Exit.BAD_SETTINGS),
    "one-setting-more": (put("settings", "training.luck", value=1), Exit.BAD_SETTINGS),
    "the-name-of-another": (put("peer", value="c-" + "0" * 16), Exit.CERTIFICATE_OF_ANOTHER_SITE),
}


@pytest.fixture(scope="module")
def enrollment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Light]:
    """An aggregator that waits for three sites, of which the honest ones have joined."""
    one = Light(light_settings(*HONEST, ATTACKER), tmp_path_factory.mktemp("joining") / "run")
    one.stage.start("aggregator")
    one.connect()
    for site in HONEST:
        bring(one, site)
    yield one
    one.shut()


def honest(light: Light, site: str) -> Document:
    """What `site` says when it joins with its counts."""
    hello = light.hello.model_copy(
        update={"peer": light.members[site].peer, "counts": counts(light.settings, light.molecules[site])}
    )
    document: Document = json.loads(hello.encode())
    return document


def send(light: Light, site: str, content: bytes) -> bytes:
    return light.members[site].call(JOIN, content, SERVICE)


def bring(light: Light, site: str) -> Document:
    """The site joins, without waiting for others."""
    welcome: Document = json.loads(send(light, site, json.dumps(honest(light, site)).encode()))
    return welcome


def refused(light: Light, content: bytes) -> FedmolError:
    """The attacker is told why it is refused; nobody else notices, and the aggregator still waits for it."""
    answer = refusal(lambda: send(light, ATTACKER, content))
    assert answer.code() is grpc.StatusCode.FAILED_PRECONDITION, answer
    said = decode_error(answer.details())
    assert said is not None, answer
    assert len(said.message) < 700
    assert light.serving()
    for site in HONEST:
        assert bring(light, site)["state"] == "wait"
    return said


def spoiled(light: Light, spoil: Callable[[Document], None]) -> bytes:
    document = honest(light, ATTACKER)
    spoil(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_said_of_molecules_refuses_that_site_alone(enrollment: Light, case: str) -> None:
    said = refused(enrollment, spoiled(enrollment, MALFORMED[case]))
    assert said.exit is Exit.MESSAGE_REFUSED
    assert "version" not in said.cure  # another one would not help


@pytest.mark.parametrize("case", TEXTS)
def test_what_is_no_message_refuses_that_site_alone(enrollment: Light, case: str) -> None:
    assert refused(enrollment, TEXTS[case]).exit is Exit.MESSAGE_REFUSED


@pytest.mark.parametrize("case", OTHERS)
def test_what_does_not_fit_refuses_that_site_alone_and_says_what(enrollment: Light, case: str) -> None:
    spoil, exit = OTHERS[case]
    assert refused(enrollment, spoiled(enrollment, spoil)).exit is exit


def test_a_site_of_protocol_1_is_told_both_versions_in_a_form_that_it_can_show(enrollment: Light) -> None:
    answer = refusal(lambda: send(enrollment, ATTACKER, recorded("1")["Joining"]))
    detail = json.loads(answer.details())
    assert detail["exit"] == Exit.MODEL_DIFFERS.slug  # the nearest that its code knows
    assert "protocol 1," in detail["message"]
    assert f"protocol {written(PROTOCOL)}" in detail["message"]


def test_a_message_that_is_too_long_is_not_looked_at(enrollment: Light) -> None:
    content = spoiled(enrollment, put("settings", value={"a": "x" * LARGEST_CONTROL}))
    answer = refusal(lambda: send(enrollment, ATTACKER, content))
    assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_every_kind_of_refusal_is_in_the_log_by_the_site_s_name(enrollment: Light) -> None:
    logged = enrollment.stage.events(SiteRefused)
    assert {event.site for event in logged} == {ATTACKER}
    told = {exit.slug for _, exit in OTHERS.values()} | {Exit.MESSAGE_REFUSED.slug}
    assert {event.body.reason for event in logged} == told
    assert {event.site for event in enrollment.stage.events(SiteJoined)} == set(HONEST)
    size = (enrollment.work / "events.jsonl").stat().st_size
    assert size < 64 * 2**10  # whatever was sent


def test_the_run_begins_with_honest_counts_and_survives_a_restart_after_all_that(enrollment: Light) -> None:
    enrollment.restart()
    refused_before = spoiled(enrollment, MALFORMED["1e15-atoms"])
    for site in HONEST:
        assert bring(enrollment, site)["state"] == "wait"
    assert refused(enrollment, refused_before).exit is Exit.MESSAGE_REFUSED
    welcome = bring(enrollment, ATTACKER)
    agreed = welcome["agreement"]
    assert agreed["molecules"] == enrollment.molecules
    total = sum(enrollment.molecules.values())
    assert agreed["census"]["atoms"] == [9 * total, *[0] * 7]
    assert agreed["census"]["sizes"] == [*[0] * 9, total]
    enrollment.play()
    enrollment.restart()
    enrollment.play()


def test_a_slow_word_takes_at_most_three_quarters_of_the_steps(light: Build) -> None:
    """Of a budget of a minute a round, where the honest sites need 0.1 s for a step."""
    settings = light_settings(*HONEST, ATTACKER, length=4)
    training = settings.training.model_copy(update={"budget_minutes": 4.0})
    one = light(settings.model_copy(update={"training": training}))
    one.stage.start("aggregator")
    one.connect()
    for site, seconds in (("east", 0.1), ("model", 0.1), (ATTACKER, 60.1), (ATTACKER, 59.0)):
        document = honest(one, site)
        document["counts"]["seconds_per_step"] = seconds
        content = json.dumps(document).encode()
        if seconds == 60.1:
            said = decode_error(refusal(partial(send, one, ATTACKER, content)).details())
            assert said is not None
            assert said.exit is Exit.BAD_SETTINGS
            assert "training.budget_minutes leaves 60 s" in said.message
        else:
            answer = json.loads(send(one, site, content))
    assert answer["agreement"]["local_steps"] == 150


def test_another_shard_under_a_running_run_is_refused_with_both_numbers(enrollment: Light) -> None:
    """Row R5. Also after a restart, which knows the shards from the agreement."""
    for restart in (False, True):
        if restart:
            enrollment.restart()
        for molecules, shard in ((150, "a" * 64), (enrollment.molecules["east"], "b" * 64)):
            document = honest(enrollment, "east")
            document["counts"] = json.loads(counts(enrollment.settings, molecules).model_dump_json())
            document["counts"]["shard"] = shard
            content = json.dumps(document).encode()
            said = decode_error(refusal(partial(send, enrollment, "east", content)).details())
            assert said is not None
            assert said.exit is Exit.SHARD_CHANGED
            assert f"began with {enrollment.molecules['east']} molecules" in said.message
            assert f"comes back with {molecules}" in said.message
        assert bring(enrollment, "east")["state"] == "go"
        enrollment.play()
    agreed = json.loads((enrollment.work / "agreement.json").read_text())
    assert agreed["molecules"] == enrollment.molecules


def test_a_late_site_with_classes_that_were_not_agreed_is_refused_and_the_run_goes_on(light: Build) -> None:
    one = light(light_settings(*HONEST, ATTACKER, quorum=2, join_deadline=1.0, grace=0.2))
    one.open(ATTACKER)
    one.play(*HONEST)
    one.connect()
    document = honest(one, ATTACKER)
    molecules = one.molecules[ATTACKER]
    document["counts"]["census"]["atoms"] = [9 * molecules - 7, 7, *[0] * 6]
    said = decode_error(refusal(lambda: send(one, ATTACKER, json.dumps(document).encode())).details())
    assert said is not None
    assert said.exit is Exit.VOCABULARY_DIFFERS
    assert "7 atoms N" in said.message
    one.play(*HONEST)
    agreed = bring(one, ATTACKER)["agreement"]
    assert agreed["molecules"] == one.molecules
    assert agreed["census"]["atoms"] == [9 * sum(one.molecules[site] for site in HONEST), *[0] * 7]
    one.play(*HONEST)
