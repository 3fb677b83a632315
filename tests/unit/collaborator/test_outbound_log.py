from __future__ import annotations

import json

import pytest
from openfl.protocols import aggregator_pb2, base_pb2

from fedmol.telemetry.events.site_events import MessageSent
from fedmol_collaborator.message_fields import Scanner, fields_of
from fedmol_collaborator.outbound_log import OutboundLog

RESULTS = aggregator_pb2.TaskResults(
    header=aggregator_pb2.MessageHeader(sender="c-1", receiver="a"),
    round_number=3,
    task_name="train",
    data_size=2**20,
    tensors=[
        base_pb2.NamedTensor(name="loss", report=True, tags=["metric"], data_bytes=b"abcd"),
        base_pb2.NamedTensor(
            name="model",
            transformer_metadata=[base_pb2.MetadataProto(int_list=[5], int_to_float={1: 2.0})],
            data_bytes=bytes(range(256)) * 9,
        ),
    ],
)
FIELDS = (
    *("header.sender", "header.receiver", "round_number", "task_name", "data_size"),
    *("tensors.name", "tensors.report", "tensors.tags", "tensors.loss"),
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 10**6])
def test_fields_are_found_however_a_message_is_cut(size: int) -> None:
    whole = RESULTS.SerializeToString()
    scanner = Scanner(aggregator_pb2.TaskResults.DESCRIPTOR)
    for place in range(0, len(whole), size):
        scanner.feed(whole[place : place + size])
    assert scanner.found[: len(FIELDS)] == FIELDS
    assert scanner.found == fields_of(RESULTS)
    assert "tensors.model" in scanner.found
    assert "tensors.transformer_metadata.int_list" in scanner.found


def test_a_field_that_is_not_known_is_no_secret_passage() -> None:
    with pytest.raises(ValueError, match="has no field 9"):
        Scanner(aggregator_pb2.TaskResults.DESCRIPTOR).feed(b"\x4a\x01x")


def test_json_is_told_by_its_entries_that_say_something() -> None:
    document = {"run": "r", "loss": None, "counts": {"molecules": 3, "shard": "0", "seconds_per_step": None}}
    assert fields_of(json.dumps(document).encode()) == ("run", "counts.molecules", "counts.shard")
    assert fields_of(b"\x00\xff random") == ()


def test_what_repeats_itself_adds_up_and_nothing_is_lost() -> None:
    now, written = 0.0, list[MessageSent]()
    outbound_log = OutboundLog(written.append, clock=lambda: now)
    for now in range(150):
        outbound_log.note("Report", 100, ("run", "phase"))
        if now == 70:
            outbound_log.note("Report", 90, ("run",))
    assert [(one.times, one.bytes) for one in written] == [(1, 100), (60, 6000), (1, 90), (60, 6000)]
    outbound_log.flush()
    assert sum(one.times for one in written) == 151
    assert sum(one.bytes for one in written) == 150 * 100 + 90
    outbound_log.flush()
    assert len(written) == 5
