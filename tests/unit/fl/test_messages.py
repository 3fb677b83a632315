"""Messages are closed, strict and bounded: what is not allowed is refused by name, whatever it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import parse
from fedmol.fl.identity import shared_settings
from fedmol.fl.local_methods import AnyLocalMethod
from fedmol.fl.messages import Joining, Message, RoundOpening, Standing, Welcome, read, read_agreement
from fedmol.fl.strategies import AnyStrategy
from tests.golden.messages import recorded

JOINING: dict[str, Any] = json.loads(recorded("2.0")["Joining-with-counts"])
HUGE = 10**4000

WRONG: dict[str, list[Any]] = {
    "semantics": [True, "1", 1.0, 0, -1, 2**70, None],
    "run": ["", "x" * 129, 7, None],
    "peer": ["c-", "north", "c-" + "0" * 17, 7],
    "vocabulary": ["", "1" * 63, "1" * 64 + "\n", "G" * 64, 1],
    "manifest": ["1" * 65],
    "payload": [["1" * 64]],
    "settings": [
        [],
        {"a": {"b": 1}},
        {"a": [1]},
        {"a": "x" * 257},
        {"a" * 65: 1},
        {"": 1},
        {"a": HUGE},
        {str(number): 1 for number in range(257)},
    ],
    "counts": [[], "", 7, {}],
    "counts.molecules": [True, "10", 10.0, 1, 0, -5, 10**9 + 1, 2**70, HUGE, None, [10]],
    "counts.census": [None, [], "abc", {}, {"atoms": [1]}],
    "counts.census.atoms": [
        None,
        [],
        {},
        "12",
        7,
        [True] * 8,
        [1.0] * 8,
        [1.5] * 8,
        ["1"] * 8,
        [None] * 8,
        [[1]] * 8,
        [-1] * 8,
        [2**53 + 1] * 8,
        [2**70] * 8,
        [HUGE] * 8,
        [0] * 1025,
    ],
    "counts.seconds_per_step": [0, -1, 3600.1, 1e9, "1", True, [1.0], HUGE],
    "counts.shard": ["", "7" * 63, 7, None],
}


def with_entry(place: str, value: Any) -> bytes:
    document = json.loads(json.dumps(JOINING))
    *parents, leaf = place.split(".")
    section = document
    for key in parents:
        section = section[key]
    section[leaf] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(("place", "value"), [(place, value) for place, values in WRONG.items() for value in values])
def test_what_is_not_allowed_is_refused_by_the_name_of_the_field(place: str, value: Any) -> None:
    with pytest.raises(FedmolError) as caught:
        read(Joining, with_entry(place, value), "the site")
    assert caught.value.exit is Exit.MESSAGE_REFUSED
    assert place in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "0x10", "1_000"])
@pytest.mark.parametrize("place", ["molecules", "seconds_per_step", "atoms", "settings"])
def test_what_json_has_no_number_for_is_refused(place: str, number: str) -> None:
    content = json.dumps(JOINING)
    old = {
        "molecules": '"molecules": 6',
        "seconds_per_step": '"seconds_per_step": 0.25',
        "atoms": '"atoms": [18',
        "settings": '"training.learning_rate": 0.002',
    }[place]
    assert old in content
    head, _, _ = old.rpartition("18" if place == "atoms" else old.split(" ")[-1])
    with pytest.raises(FedmolError) as caught:
        read(Joining, content.replace(old, head + number).encode(), "the site")
    assert caught.value.exit is Exit.MESSAGE_REFUSED


@pytest.mark.parametrize("place", ["semantics", "run", "peer", "settings", "counts.molecules", "counts.census.sizes"])
def test_a_missing_field_is_named(place: str) -> None:
    document = json.loads(json.dumps(JOINING))
    *parents, leaf = place.split(".")
    section = document
    for key in parents:
        section = section[key]
    del section[leaf]
    with pytest.raises(FedmolError, match=f"{place}.*[Ff]ield required") as caught:
        read(Joining, json.dumps(document).encode(), "the site")
    assert caught.value.exit is Exit.MESSAGE_REFUSED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"{" * 30_000,
        b"[" * 60_000,
        b'{"protocol": "2.0", "run": ' + b"[" * 60_000,
        b'{"protocol": "2.0"',
        b'{"protocol": "2.0"} trailing',
        b'{"protocol": 2.0}',
        b'{"protocol": "2"}',
        b'{"protocol": "2.0.1"}',
        b'{"protocol": "02.0"}',
        b'{"protocol": "2.99999"}',
        b'{"protocol": ["2.0"]}',
    ],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(FedmolError) as caught:
        read(Joining, content, "the site")
    assert caught.value.exit is Exit.MESSAGE_REFUSED
    assert len(caught.value.message) < 500


def test_no_text_of_the_sender_is_longer_than_a_line_in_what_is_said_of_it() -> None:
    content = json.dumps({**JOINING, "\x1b[31m" * 10_000: 1}).encode()
    with pytest.raises(FedmolError) as caught:
        read(Joining, content, "the site")
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


def test_the_settings_of_every_algorithm_fit_into_a_message() -> None:
    for key, union in (("strategy", AnyStrategy), ("local_method", AnyLocalMethod)):
        for kind in _kinds(union):
            name = kind.model_fields["name"].annotation.__args__[0]
            chosen = dict.fromkeys(("strategy", "local_method"), name) if name == "scaffold" else {key: name}
            settings = parse({"sites": [{"name": "north"}], **chosen}, "test")
            document = {**JOINING, "settings": shared_settings(settings)}
            read(Joining, json.dumps(document).encode(), "the site")


def _kinds(union: Any) -> tuple[Any, ...]:
    return tuple(union.__args__[0].__args__)


def test_the_agreement_of_an_earlier_protocol_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "agreement.json"
    path.write_bytes(json.dumps(json.loads(recorded("1")["Welcome-go"])["agreement"]).encode())
    with pytest.raises(FedmolError, match=r"agreement\.json is not an agreement of protocol 2\.1") as caught:
        read_agreement(path)
    assert caught.value.exit is Exit.STATE_UNUSABLE


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[" * 100_000, b" " * (2**24 + 1)])
def test_an_agreement_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "agreement.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FedmolError, match=r"agreement\.json") as caught:
        read_agreement(path)
    assert caught.value.exit is Exit.STATE_UNUSABLE


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (RoundOpening, "round", 0),
        (RoundOpening, "round", 2**40),
        (RoundOpening, "round", True),
        (RoundOpening, "last_counted", -1),
        (RoundOpening, "reason", "x" * 257),
        (RoundOpening, "digests", {}),
        (RoundOpening, "digests", {"model": "5" * 63}),
        (RoundOpening, "changes", [{"document": "x" * 20_000, "signature": "ab"}]),
        (RoundOpening, "changes", [{"document": "x", "signature": "ab"}] * 1001),
        (Welcome, "state", "stay"),
        (Welcome, "manifest", {"training.rounds": {"nested": 1}}),
        (Welcome, "manifest", {str(number): 1 for number in range(257)}),
        (Welcome, "agreement", {}),
        (Standing, "time", "now"),
        (Standing, "settings", {"a": {"b": 1}}),
    ],
)
def test_what_an_aggregator_says_is_bounded_as_well(kind: type[Message], key: str, value: Any) -> None:
    name = "Welcome-go" if kind is Welcome else kind.__name__
    content = json.dumps({**json.loads(recorded("2.0")[name]), key: value}).encode()
    with pytest.raises(FedmolError, match=key) as caught:
        read(kind, content, "the aggregator")
    assert caught.value.exit is Exit.MESSAGE_REFUSED
    assert "at the aggregator" in caught.value.cure
