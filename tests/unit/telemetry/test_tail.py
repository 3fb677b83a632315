from __future__ import annotations

import gc
from itertools import pairwise
from pathlib import Path

import pytest

from fedmol.sidecar.log_watch import Watch
from fedmol.telemetry.events.round_events import RoundModelReceived
from fedmol.telemetry.events.run_events import RunStopped
from fedmol.telemetry.events.site_events import PhaseEntered, SiteRefused
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.tail import LogReader
from tests.support.story import Story


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl", run="trial", site="north")


def test_only_what_is_new_is_handed_out_and_a_torn_line_is_left_for_later(log: EventLog) -> None:
    reader = LogReader(log.path)
    log.write(PhaseEntered(), phase="connecting")
    assert [event.phase for event in reader.read()] == ["connecting"]
    log.write(PhaseEntered(), phase="training")
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-20])
    assert reader.read() == []
    log.path.write_bytes(whole)
    assert [event.phase for event in reader.read()] == ["training"]
    assert reader.broken_line is None
    assert reader.caught_up


def test_a_log_that_is_not_there_is_an_error_until_it_is(tmp_path: Path) -> None:
    reader = LogReader(tmp_path / "events.jsonl")
    with pytest.raises(FileNotFoundError):
        reader.read()
    assert not reader.caught_up
    EventLog(tmp_path / "events.jsonl", run="trial", site="north").write(PhaseEntered(), phase="connecting")
    assert len(reader.read()) == 1


def test_a_changed_line_breaks_the_chain_at_the_next_one_and_reading_goes_on(log: EventLog) -> None:
    for number in range(4):
        log.write(RoundModelReceived(bytes=number), round=1)
    log.path.write_bytes(log.path.read_bytes().replace(b'"bytes": 1,', b'"bytes": 9,'))
    reader = LogReader(log.path)
    assert len(reader.read()) == 4
    assert reader.broken_line == 3


def test_a_line_that_is_no_event_is_counted_and_breaks_the_chain(log: EventLog) -> None:
    log.write(PhaseEntered(), phase="connecting")
    with log.path.open("ab") as file:
        file.write(b"not json\n\xff\xfe\n[1]\n")
    reader = LogReader(log.path)
    assert len(reader.read()) == 1
    assert (reader.unreadable, reader.broken_line) == (3, 2)


def test_a_log_that_is_replaced_is_read_from_its_beginning(log: EventLog, tmp_path: Path) -> None:
    log.write(PhaseEntered(), phase="connecting")
    reader = LogReader(log.path)
    reader.read()
    log.path.unlink()
    EventLog(tmp_path / "events.jsonl", run="second", site="north").write(PhaseEntered(), phase="connecting")
    assert [event.run for event in reader.read()] == ["second"]
    assert (reader.generation, reader.broken_line) == (1, None)


def test_a_line_longer_than_a_piece_is_read_whole(log: EventLog) -> None:
    log.write(RunStopped(reason="x", detail="y" * 2_000_000))
    log.write(PhaseEntered(), phase="connecting")
    reader = LogReader(log.path)
    read = [event.kind for _ in range(3) for event in reader.read()]
    assert read == ["run_stopped", "phase"]
    assert reader.broken_line is None


@pytest.mark.parametrize("number", [0, 1, 255, 256, 257, 511, 599])
def test_lines_are_found_again_by_their_number(log: EventLog, number: int) -> None:
    for step in range(600):
        log.write(RoundModelReceived(bytes=step), round=1)
    reader = LogReader(log.path)
    while reader.read():
        pass
    lines, following = reader.lines_from(number)
    assert lines[0] == log.path.read_bytes().splitlines()[number]
    assert following - number == len(lines)
    assert reader.lines_from(600) == ([], 600)


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    story = Story(tmp_path, ["north", "south"]).start().gather()
    watch = Watch(tmp_path)
    counts = []
    for _ in range(6):
        for _ in range(400):
            story.train("north", 1)
            story.log.write(SiteRefused(reason="unknown-run", detail="another run"), site="nobody")
        watch.catch_up()
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert watch.reader.lines > 4800
    growth = [later - sooner for sooner, later in pairwise(counts[1:])]
    assert min(growth) < 50  # of 800 lines; whatever else lives in this process may grow now and then
