from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog, Follower, parse, read, verify


def _log(path: Path) -> EventLog:
    return EventLog(path, run="r1", site="north")


def test_events_come_back_as_written(tmp_path: Path) -> None:
    log = _log(tmp_path / "events.jsonl")
    log.write("round_started", round=3)
    log.write("site_lost", site="south", silent_seconds=61.0)
    first, second = read(log.path)
    assert (first.seq, first.site, first.round, first.kind, first.fields) == (0, "north", 3, "round_started", {})
    assert (second.seq, second.site, second.fields) == (1, "south", {"silent_seconds": 61.0})


def test_chain_holds_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for _ in range(3):
        log = _log(path)
        log.write("run_started")
        log.write("checkpoint")
    assert verify(path) == 6
    assert [event.seq for event in read(path)] == list(range(6))


def test_a_torn_last_line_is_dropped_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = _log(path)
    log.write("first")
    with path.open("ab") as file:
        file.write(b'{"seq": 1, "time": "2026')
    assert [event.kind for event in read(path)] == ["first"]
    log = _log(path)
    log.write("second")
    assert [event.kind for event in read(path)] == ["first", "second"]
    assert verify(path) == 2


def test_a_changed_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = _log(path)
    for value in range(4):
        log.write("loss", value=value)
    lines = path.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "value": 99})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FedmolError, match="line 3") as caught:
        verify(path)
    assert caught.value.exit is Exit.STATE_UNUSABLE


def test_a_follower_gets_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    follower = Follower(path)
    assert follower.new() == []
    log = _log(path)
    log.write("one")
    assert [event.kind for event in follower.new()] == ["one"]
    log.write("two")
    log.write("three")
    assert [event.kind for event in follower.new()] == ["two", "three"]
    assert follower.new() == []


def test_a_full_disk_leaves_no_half_line_and_the_log_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    log = _log(tmp_path / "events.jsonl")
    log.write("before")
    size = log.path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
        with pytest.raises(OSError, match=r"(File too large|No space left).*events\.jsonl"):
            log.write("torn")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        with pytest.raises(OSError, match=r"File too large.*events\.jsonl"):
            log.write("not begun")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert log.path.stat().st_size == size
    log.write("after")
    assert [event.kind for event in read(log.path)] == ["before", "after"]
    assert verify(log.path) == 2


@pytest.mark.parametrize("damage", [b'{"seq": 1, "ti', b"[" * 100_000, b"{}", b"\xff\x00", b"3"])
def test_a_damaged_line_within_the_log_is_named_whoever_reads_it(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "events.jsonl"
    log = _log(path)
    for _ in range(3):
        log.write("line")
    first, _second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damage + b"\n" + third)
    for reading in (lambda: list(read(path)), lambda: verify(path), lambda: _log(path)):
        with pytest.raises(FedmolError, match="line 2") as caught:
            reading()
        assert caught.value.exit is Exit.STATE_UNUSABLE


@pytest.mark.parametrize(("one", "other"), [('"seq": 1', '"seq": 2'), ('"kind"', '"kine"'), ('"seq": 1', '"seq": "1"')])
def test_a_damaged_last_line_is_not_gone_on_from(tmp_path: Path, one: str, other: str) -> None:
    path = tmp_path / "events.jsonl"
    log = _log(path)
    log.write("line")
    log.write("line")
    first, last = path.read_text().splitlines(keepends=True)
    assert one in last
    path.write_text(first + last.replace(one, other))
    with pytest.raises(FedmolError, match="line 2"):
        _log(path)


@pytest.mark.parametrize(("key", "value"), [("round", "three"), ("round", [1]), ("site", None), ("time", 5)])
def test_a_line_whose_head_has_other_types_is_no_event(key: str, value: object) -> None:
    head = {"seq": 0, "time": "t", "run": "r", "site": "s", "round": None, "phase": None, "kind": "k", "previous": ""}
    assert parse(json.dumps(head).encode()).kind == "k"
    with pytest.raises(TypeError):
        parse(json.dumps({**head, key: value}).encode())
