"""What was said in an earlier version can be read as long as the major number is the same, and is refused otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.messages import read
from fedmol.fl.refusals import decode_error, encode_error
from fedmol.fl.versions import PROTOCOL, written
from tests.golden.messages import (
    KINDS,
    RECORDED,
    REFUSAL,
    examples,
    fields,
    folder,
    kind_of,
    recorded,
    sender_of,
)

FORMER = recorded("1")
SAME_MAJOR = {
    (path.name, name): content
    for path in sorted(RECORDED.glob(f"{PROTOCOL[0]}.*"))
    for name, content in recorded(path.name).items()
}


@pytest.mark.parametrize(("version", "name"), SAME_MAJOR, ids="-".join)
def test_recorded_messages_are_read(version: str, name: str) -> None:
    content = SAME_MAJOR[version, name]
    if name == REFUSAL:
        said = decode_error(content.decode())
        assert said is not None
        assert (said.exit, said.message) == (Exit.UNKNOWN_RUN, json.loads(content)["message"])
        return
    message = read(KINDS[kind_of(name)], content, sender_of(name))
    document = json.loads(content)
    assert {key: message.model_dump(mode="json")[key] for key in document} == document


def test_every_kind_is_recorded() -> None:
    assert {kind_of(name) for _, name in SAME_MAJOR} == {*KINDS, REFUSAL}


@pytest.mark.parametrize("name", examples())
def test_what_is_sent_today_has_the_fields_that_were_recorded_for_this_version(name: str) -> None:
    kept = json.loads((folder() / f"{name}.json").read_bytes())
    assert fields(examples()[name]) == fields(kept), (
        f"messages have other fields than {written(PROTOCOL)} had: raise PROTOCOL in federation/versions.py, and run "
        "`python -m tests.golden.record messages`"
    )


def _changed(name: str, protocol: str, **more: Any) -> bytes:
    document = json.loads(SAME_MAJOR[written(PROTOCOL), name])
    return json.dumps({**document, "protocol": protocol, **more}).encode()


@pytest.mark.parametrize("name", [name for name in examples() if name != REFUSAL])
def test_a_higher_minor_version_may_say_what_is_not_known_here(name: str) -> None:
    content = _changed(name, f"{PROTOCOL[0]}.7", mood="fine", more={"of": ["it", 7]})
    message = read(KINDS[kind_of(name)], content, sender_of(name))
    assert message.protocol == f"{PROTOCOL[0]}.7"
    assert not hasattr(message, "mood")


@pytest.mark.parametrize("name", ["Joining-with-counts", "Welcome-go"])
def test_so_it_may_deeper_in_a_message(name: str) -> None:
    document = json.loads(_changed(name, f"{PROTOCOL[0]}.7"))
    inner = document.get("counts") or document["agreement"]
    inner["census"]["rings"] = [1, 2]
    inner["more"] = None
    read(KINDS[kind_of(name)], json.dumps(document).encode(), sender_of(name))


@pytest.mark.parametrize("name", [name for name in examples() if name != REFUSAL])
def test_a_message_of_this_version_may_not(name: str) -> None:
    with pytest.raises(FedmolError, match="mood") as caught:
        read(KINDS[kind_of(name)], _changed(name, written(PROTOCOL), mood="fine"), sender_of(name))
    assert caught.value.exit is Exit.MESSAGE_REFUSED


@pytest.mark.parametrize("name", [name for name in examples() if name != REFUSAL])
def test_a_higher_minor_version_is_bounded_all_the_same(name: str) -> None:
    for key, value in json.loads(SAME_MAJOR[written(PROTOCOL), name]).items():
        if isinstance(value, (str, int)) and key not in ("protocol", "phase", "round", "reason", "last_counted"):
            with pytest.raises(FedmolError) as caught:
                read(KINDS[kind_of(name)], _changed(name, f"{PROTOCOL[0]}.7", **{key: [value]}), sender_of(name))
            assert caught.value.exit is Exit.MESSAGE_REFUSED


@pytest.mark.parametrize("name", [name for name in FORMER if kind_of(name) in KINDS])
def test_protocol_1_is_refused_and_both_versions_are_named(name: str) -> None:
    with pytest.raises(FedmolError) as caught:
        read(KINDS[kind_of(name)], FORMER[name], sender_of(name))
    assert caught.value.exit is Exit.PROTOCOL_DIFFERS
    receiver = "the aggregator" if sender_of(name) == "the site" else "the site"
    assert caught.value.message == (
        f"{sender_of(name)} speaks fedmol's protocol 1, {receiver} protocol {written(PROTOCOL)}"
    )


@pytest.mark.parametrize("protocol", [(1, 0), (1, 3), (3, 0), (0, 9)])
def test_another_major_version_is_refused_before_anything_else_is_read(protocol: tuple[int, int]) -> None:
    with pytest.raises(FedmolError, match=rf"protocol {protocol[0]}.*protocol {PROTOCOL[0]}") as caught:
        read(KINDS["Probe"], json.dumps({"protocol": written(protocol), "all": "new"}).encode(), "the site")
    assert caught.value.exit is Exit.PROTOCOL_DIFFERS


@pytest.mark.parametrize("exit", [Exit.PROTOCOL_DIFFERS, Exit.REMOVED, Exit.CERTIFICATE_EXPIRED])
def test_a_site_of_protocol_1_can_show_why_it_is_refused(exit: Exit) -> None:
    """Its code took the exit by its name from those it knew, and the texts as they were."""
    known = json.loads((RECORDED / "1" / "exits.json").read_bytes())
    refusal = FedmolError(exit, "what is wrong", "what to do")
    said = json.loads(encode_error(refusal))
    assert said["exit"] in known
    assert (said["message"], said["cure"]) == (refusal.message, refusal.cure)
    today = decode_error(encode_error(refusal))
    assert today is not None
    assert today.exit is exit


def test_of_a_code_that_is_not_known_here_the_nearest_counts() -> None:
    later = {"exit": Exit.UNKNOWN_RUN.slug, "precisely": "run-of-another-kind", "since": "2.7"}
    said = decode_error(json.dumps({**later, "message": "what is wrong", "cure": "what to do"}))
    assert said is not None
    assert (said.exit, said.message) == (Exit.UNKNOWN_RUN, "what is wrong")


def test_an_aggregator_of_protocol_1_is_understood() -> None:
    said = decode_error(FORMER[REFUSAL].decode())
    assert said is not None
    assert said.exit is Exit.PROTOCOL_DIFFERS
    assert said.message == f"the aggregator speaks fedmol's protocol 1, the site protocol {written(PROTOCOL)}"
