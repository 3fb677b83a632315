"""What the aggregator holds a restart, and the coordinator's changes, against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.telemetry.events.run_events import ChangeRefused
from tests.support.desk import Desk, federation


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("changes", "entry"),
    [
        ({"seed": 1}, "seed is 1, the run has 0"),
        ({"strategy": "fedadam"}, "strategy.name is 'fedadam', the run has 'fedavg'"),
        ({"local_method": "fedprox"}, "local_method.name is 'fedprox', the run has 'plain'"),
        ({"model": {"layers": 2}}, "model.layers is 2, the run has None"),
        ({"training": {"rounds": 9}}, "training.rounds is 9, the run has 8"),
        ({"training": {"learning_rate": 0.1}}, "training.learning_rate is 0.1, the run has 0.002"),
        ({"sites": [{"name": "north"}]}, "sites is ['north'], the run has ['north', 'south']"),
        ({"rounds": {"quorum": 1}}, "rounds.quorum is 1, the run has None"),
        ({"rounds": {"max_share": 0.5}}, "rounds.max_share is 0.5, the run has None"),
    ],
)
def test_other_settings_are_refused_by_name(desk: Desk, changes: dict[str, Any], entry: str) -> None:
    desk.start(federation())
    with pytest.raises(FedmolError) as caught:
        desk.start(federation(**changes))
    assert caught.value.exit is Exit.CHANGE_REFUSED
    assert entry in caught.value.message
    assert "fedmol change" in caught.value.cure


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"address": "elsewhere", "port": 5}},
        {"training": {"threads": 2, "device": "cpu", "processes": 2}},
        {"rounds": {"keep_checkpoints": 9, "farewell": 5}},
        {"evaluation": {"samples": 7}},
        {"data": {"source": "other.csv"}},
    ],
)
def test_what_decides_nothing_may_change_at_any_start(desk: Desk, changes: dict[str, Any]) -> None:
    desk.start(federation())
    desk.start(federation(**changes))


def test_a_change_outlasts_a_restart_with_the_former_settings_or_the_new(desk: Desk) -> None:
    course = desk.start(federation())
    path = desk.put(course, quorum=1, rounds=12)
    assert [change.number for change in course.collect(open_round=2)] == [1]
    assert course.collect(open_round=2) == []
    path.unlink()  # the log has it
    for settings in (federation(), federation(rounds={"quorum": 1}, training={"rounds": 12})):
        again = desk.start(settings).changes
        assert (again.latest.quorum, again.latest.training.rounds, again.at(2).training.rounds) == (1, 12, 8)
    with pytest.raises(FedmolError, match=r"training\.rounds is 12"):
        desk.start(federation(training={"rounds": 12}))


def test_a_change_that_comes_too_late_is_said_once_and_changes_nothing(desk: Desk) -> None:
    course = desk.start(federation())
    desk.put(course, rounds=12)
    for _ in range(3):
        assert course.collect(open_round=3) == []
    (refused,) = desk.said(ChangeRefused)
    assert refused.reason == "change-refused"
    assert "the first that it can is round 4" in refused.detail
    assert [path.name for path in course.inbox.iterdir()] == ["0001.refused.json"]
    assert course.changes.latest.training.rounds == 8


def test_another_authority_s_change_is_said_and_a_right_one_in_its_place_is_taken(desk: Desk, tmp_path: Path) -> None:
    course, other = desk.start(federation()), Desk(tmp_path / "other")
    path = desk.put(course, quorum=1)
    right = path.read_text()
    other.work = desk.work
    other.put(course, quorum=1)
    assert course.collect(open_round=1) == []
    assert [refused.reason for refused in desk.said(ChangeRefused)] == ["certificate-foreign"]
    path.write_text(right)
    assert [change.quorum for change in course.collect(open_round=1)] == [1]


def test_a_refused_change_takes_those_with_it_that_follow_and_bars_no_other(desk: Desk) -> None:
    course = desk.start(federation())
    first = desk.put(course, rounds=12)
    second = course.inbox / "0002.json"
    second.write_bytes(first.read_bytes())
    assert course.collect(open_round=3) == []
    assert [refused.file for refused in desk.said(ChangeRefused)] == ["0001.json", "0002.json"]
    assert "it follows 0001.json, which is refused" in desk.said(ChangeRefused)[1].detail
    desk.put(course, rounds=12)
    assert course.collect(open_round=3) == []
    assert {path.name for path in course.inbox.iterdir()} == {
        "0001.refused.json",
        "0001.refused-2.json",
        "0002.refused.json",
    }
    desk.put(course, quorum=1)
    assert [change.quorum for change in course.collect(open_round=1)] == [1]


@pytest.mark.parametrize("name", ["mine.json", "0000.json", "-1.json", "1.json", "9" * 20 + ".json"])
def test_a_change_under_another_name_is_said_and_put_aside(desk: Desk, name: str) -> None:
    course = desk.start(federation())
    path = desk.put(course, quorum=1)
    other = path.rename(path.with_name(name))
    assert course.collect(open_round=1) == []
    assert desk.said(ChangeRefused) == []  # it may be on its way
    os.utime(other, (0, 0))
    for _ in range(2):
        assert course.collect(open_round=1) == []
    (refused,) = desk.said(ChangeRefused)
    assert (refused.file, refused.detail) == (name, "the next change is taken from 0001.json")
    assert [path.suffixes for path in course.inbox.iterdir()] == [[".refused", ".json"]]


def test_a_file_that_is_being_written_is_waited_for(desk: Desk) -> None:
    course = desk.start(federation())
    path = desk.put(course, quorum=1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert course.collect(open_round=1) == []
    assert desk.said(ChangeRefused) == []
    path.write_bytes(whole)
    assert [change.quorum for change in course.collect(open_round=1)] == [1]
