from __future__ import annotations

import json
import math
import os
import resource
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.telemetry.events import KINDS
from fedmol.telemetry.events.event_record import Misread, OfLaterVersion, Record
from fedmol.telemetry.events.field_types import Number
from fedmol.telemetry.events.round_events import RoundFinished, RoundModelReceived, RoundStarted, UpdateReceived
from fedmol.telemetry.events.run_events import SettingsChanged
from fedmol.telemetry.events.site_events import (
    AgreementReached,
    Histograms,
    MessageSent,
    PhaseEntered,
    SiteLost,
    SiteRefused,
    SiteReturned,
    TrainingStep,
)
from fedmol.telemetry.log import LONGEST_LINE, EventLog, Follower, parse, read, read_as_is, verify
from fedmol.telemetry.queries import logged
from fedmol.telemetry.reducer import apply
from fedmol.telemetry.state import Run
from tests.support.raw_log import TIME, append


def _log(path: Path) -> EventLog:
    return EventLog(path, run="r1", site="north")


def test_events_come_back_as_written(tmp_path: Path) -> None:
    log = _log(tmp_path / "events.jsonl")
    log.write(RoundStarted(), round=3)
    log.write(SiteLost(silent_seconds=61.0), site="south")
    first, second = read(log.path)
    assert (first.seq, first.site, first.round, first.kind, first.body) == (
        0,
        "north",
        3,
        "round_started",
        RoundStarted(),
    )
    assert (second.seq, second.site, second.body) == (1, "south", SiteLost(silent_seconds=61.0))


def test_chain_holds_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for _ in range(3):
        log = _log(path)
        log.write(RoundStarted(), round=1)
        log.write(SiteReturned())
    assert verify(path) == 6
    assert [event.seq for event in read(path)] == list(range(6))


def test_a_torn_last_line_is_dropped_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = _log(path)
    log.write(PhaseEntered(), phase="first")
    with path.open("ab") as file:
        file.write(b'{"seq": 1, "time": "2026')
    assert [event.phase for event in read(path)] == ["first"]
    log = _log(path)
    log.write(PhaseEntered(), phase="second")
    assert [event.phase for event in read(path)] == ["first", "second"]
    assert verify(path) == 2


def test_a_changed_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = _log(path)
    for value in range(4):
        log.write(RoundModelReceived(bytes=value), round=1)
    lines = path.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "bytes": 99})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FedmolError, match="line 3") as caught:
        verify(path)
    assert caught.value.exit is Exit.STATE_UNUSABLE


def test_a_follower_gets_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    follower = Follower(path)
    assert follower.new() == []
    log = _log(path)
    log.write(PhaseEntered(), phase="one")
    assert [event.phase for event in follower.new()] == ["one"]
    log.write(PhaseEntered(), phase="two")
    log.write(PhaseEntered(), phase="three")
    assert [event.phase for event in follower.new()] == ["two", "three"]
    assert follower.new() == []


def test_a_full_disk_leaves_no_half_line_and_the_log_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    log = _log(tmp_path / "events.jsonl")
    log.write(PhaseEntered(), phase="before")
    size = log.path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
        with pytest.raises(OSError, match=r"(File too large|No space left).*events\.jsonl"):
            log.write(PhaseEntered(), phase="torn")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        with pytest.raises(OSError, match=r"File too large.*events\.jsonl"):
            log.write(PhaseEntered(), phase="not begun")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert log.path.stat().st_size == size
    log.write(PhaseEntered(), phase="after")
    assert [event.phase for event in read(log.path)] == ["before", "after"]
    assert verify(log.path) == 2


@pytest.mark.parametrize("damage", [b'{"seq": 1, "ti', b"[" * 100_000, b"{}", b"\xff\x00", b"3"])
def test_a_damaged_line_within_the_log_is_named_whoever_reads_it(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "events.jsonl"
    log = _log(path)
    for _ in range(3):
        log.write(SiteReturned())
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
    log.write(SiteReturned())
    log.write(SiteReturned())
    first, last = path.read_text().splitlines(keepends=True)
    assert one in last
    path.write_text(first + last.replace(one, other))
    with pytest.raises(FedmolError, match="line 2"):
        _log(path)


_HEAD = {"seq": 0, "time": TIME, "run": "r", "site": "s", "round": None, "phase": None, "kind": "k", "previous": ""}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("round", "three"),
        ("round", [1]),
        ("round", True),
        ("round", -1),
        ("round", 10**400),
        ("seq", -1),
        ("seq", 2**80),
        ("site", None),
        ("site", "s" * 1000),
        ("kind", "\ud800"),
        ("time", 5),
        ("time", "t"),
        ("time", "2026-11-27T00:00:00"),
        ("time", "0001-01-01T00:00:00+23:59"),
        ("time", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_a_line_whose_head_is_not_right_is_no_event(key: str, value: object) -> None:
    assert parse(json.dumps(_HEAD).encode()).kind == "k"
    with pytest.raises((TypeError, ValueError)):
        parse(json.dumps({**_HEAD, key: value}).encode())


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (SiteLost, {}),
        (SiteLost, {"silent_seconds": 1.0, "mood": "bad"}),
        (SiteLost, {"silent_seconds": "long"}),
        (SettingsChanged, {"number": 1, "changes": {"colour": "blue"}}),
    ],
)
def test_what_no_record_knows_is_an_error_of_the_program(record: type[Record], fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=record.__name__):
        record(**fields)


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        (UpdateReceived(molecules=1, bytes=1, norm=1.0), "update_received has no round"),
        (Histograms(), "Histograms is only a part"),
    ],
)
def test_what_is_not_a_whole_event_is_an_error_of_the_program(tmp_path: Path, record: Record, wrong: str) -> None:
    log = _log(tmp_path / "events.jsonl")
    with pytest.raises(TypeError, match=wrong):
        log.write(record)
    assert list(read(log.path)) == []


def test_no_two_records_are_of_one_kind() -> None:
    with pytest.raises(TypeError, match="site_lost"):
        type("Another", (Record,), {}, kind="site_lost")


def test_a_new_kind_is_written_read_and_shown_by_its_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmol.telemetry.events.event_record._KINDS", dict(KINDS))

    class DiskSlow(Record, kind="disk_slow", incident="slow disk"):
        megabytes_per_second: Number

        def words(self) -> str:
            return f"{self.megabytes_per_second} MB/s"

    log, run = _log(tmp_path / "events.jsonl"), Run()
    log.write(DiskSlow(megabytes_per_second=0.5))
    (event,) = read(log.path)
    assert event.body == DiskSlow(megabytes_per_second=0.5)
    apply(run, event)
    assert [str(one) for one in run.incidents.known] == ["slow disk (north): 0.5 MB/s"]
    assert list(run.news) == ["slow disk (north): 0.5 MB/s"]


def test_a_stranger_s_text_and_numbers_are_bounded_and_end_nothing(tmp_path: Path) -> None:
    log = _log(tmp_path / "events.jsonl")
    for text in ("x" * 10**7, "\x1b[2J\x00\u202e", "\U0001f600" * 10_000, "\ud800"):
        log.write(SiteRefused(reason=text, detail=text, times=10**400), site=text)
    for number in (math.nan, math.inf, 1e308, 10**400, -(10**400)):
        molecules = abs(number) if isinstance(number, int) else 1
        log.write(UpdateReceived(molecules=molecules, bytes=1, norm=number), site="north", round=1)
    assert log.path.stat().st_size < 12_000
    texts, numbers = list(logged(log.path, SiteRefused)), list(logged(log.path, UpdateReceived))
    assert all(event.body.detail.isprintable() for event in texts)
    assert all(event.body.times == 2**53 for event in texts)
    assert [event.body.norm for event in numbers] == [None, None, 1e300, 1e300, -1e300]


def test_an_agreement_and_an_account_of_the_largest_federation_fit_into_a_line(tmp_path: Path) -> None:
    log, sites = _log(tmp_path / "events.jsonl"), [f"{number:040d}" for number in range(1000)]
    figures, counts = dict.fromkeys(sites, -1.2345678901234567e-300), dict.fromkeys(sites, 2**53)
    census = Histograms(atoms=[2**53] * 120, bonds=[2**53] * 5, sizes=[2**53] * 4000)
    shards = dict.fromkeys(sites, "ab" * 32)
    log.write(AgreementReached(molecules=counts, weights=figures, local_steps=1, census=census, shards=shards))
    account = RoundFinished(
        sites=sites,
        weights=figures,
        missing=[],
        excluded=[],
        moves=figures,
        last_counted=counts,
        seconds=1.0,
        loss=1.0,
        nll=1.0,
        site_loss=figures,
        site_nll=figures,
        model_digest="ab" * 32,
    )
    log.write(account, round=1)
    assert verify(log.path) == 2
    assert max(map(len, log.path.read_bytes().splitlines())) < LONGEST_LINE / 2


def test_a_known_kind_with_wrong_fields_is_damage_to_whoever_relies_on_it(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append(path, "round_started", round=1)
    append(path, "of_tomorrow", anything=[[]])
    append(path, "round_finished", round=1, weights="all")
    with pytest.raises(FedmolError, match=r"line 3: .*round_finished: ") as caught:
        list(read(path))
    assert caught.value.exit is Exit.STATE_UNUSABLE
    assert [type(event.body) for event in read_as_is(path)] == [RoundStarted, OfLaterVersion, Misread]


def _endless(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + 500 * 10**6)  # zeros, which take no room


@pytest.mark.parametrize("reading", [lambda path: list(read(path)), lambda path: Follower(path).new(), verify, _log])
def test_an_endless_last_line_is_damage_and_does_not_fill_memory(tmp_path: Path, reading: Any) -> None:
    log = _log(tmp_path / "events.jsonl")
    log.write(SiteReturned())
    _endless(log.path)
    tracemalloc.start()
    try:
        with pytest.raises(FedmolError, match="line 2") as caught:
            reading(log.path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.exit is Exit.STATE_UNUSABLE
    assert peak < 8 * LONGEST_LINE


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    os.mkfifo(path)
    for reading in (lambda: list(read(path)), lambda: verify(path), lambda: Follower(path).new()):
        with pytest.raises(OSError, match=r"Not a regular file.*events\.jsonl"):
            reading()


def test_a_site_s_own_log_grows_by_less_than_a_megabyte_an_hour(tmp_path: Path) -> None:
    """A step every two seconds, and a line a minute about each of eight kinds of messages."""
    log = _log(tmp_path / "events.jsonl")
    speed = dict.fromkeys(("loss", "molecules_per_second", "seconds_left"), 1234.567890123456)
    for second in range(0, 3600, 2):
        log.write(TrainingStep(step=second, steps=36_000, **dict[str, Any](speed)), round=1234, phase="training")
    for number in range(60 * 8):
        holds = ["protocol", "run", "peer", "round", "phase", "step", "steps", "loss", "seconds_left"]
        log.write(MessageSent(call=f"SendLocalTaskResults{number % 8}", times=60, bytes=12_345, holds=holds))
    assert log.path.stat().st_size < 10**6


@pytest.mark.parametrize("last", ["", "noon", "2026-01-01T00:00:00", "1999-12-31T00:00:00+00:00", "x" * 5000, 7])
def test_a_last_time_that_is_none_is_neither_written_nor_read(tmp_path: Path, last: Any) -> None:
    log = _log(tmp_path / "events.jsonl")
    with pytest.raises(TypeError, match="last"):
        log.write(SiteRefused(reason="usage", last=last))
    append(log.path, "site_refused", reason="usage", last=last)
    with pytest.raises(FedmolError, match="last"):
        list(read(log.path))


@pytest.mark.parametrize("put", [lambda path: path.symlink_to(path.with_name("elsewhere")), os.mkfifo])
def test_a_log_is_not_written_through_what_was_put_in_its_place(tmp_path: Path, put: Callable[[Path], None]) -> None:
    log, elsewhere = _log(tmp_path / "events.jsonl"), tmp_path / "elsewhere"
    elsewhere.write_text("somebody's")
    log.path.unlink()
    put(log.path)
    with pytest.raises(OSError, match=r"Not a regular file.*events\.jsonl"):
        log.write(SiteReturned())
    with pytest.raises(OSError, match=r"Not a regular file.*events\.jsonl"):
        log.sync()
    assert elsewhere.read_text() == "somebody's"
