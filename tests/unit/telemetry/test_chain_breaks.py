"""What was done to a log is found, with the line: whatever the log holds, wherever it was done."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from fedmol.telemetry.chain_breaks import breaks
from fedmol.telemetry.events.round_events import RoundModelReceived
from fedmol.telemetry.log import LONGEST_LINE, EventLog
from fedmol.telemetry.log_lines import LogLines

Lines = list[bytes]
quick = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def written(folder: Path, count: int) -> Lines:
    path = folder / "written.jsonl"
    path.unlink(missing_ok=True)
    log = EventLog(path, run="trial", site="north")
    for number in range(count):
        log.write(RoundModelReceived(bytes=number), round=1)
    return path.read_bytes().splitlines()


def found(folder: Path, lines: Lines) -> list[tuple[int, str]]:
    path = folder / "events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return [(one.line, one.what) for one in breaks(path)]


def changed(line: bytes, **said: Any) -> bytes:
    return json.dumps({**json.loads(line), **said}).encode()


@given(count=st.integers(0, 12))
@quick
def test_nothing_is_found_in_a_log_that_nobody_has_changed(tmp_path: Path, count: int) -> None:
    assert found(tmp_path, written(tmp_path, count)) == []


@given(count=st.integers(3, 12), place=st.integers(0, 9), said=st.sampled_from([{"bytes": 99}, {"round": 7}]))
@quick
def test_a_changed_line(tmp_path: Path, count: int, place: int, said: dict[str, Any]) -> None:
    """But for the last one, which no other line vouches for."""
    lines = written(tmp_path, count)
    place %= count - 1
    lines[place] = changed(lines[place], **said)
    ((line, what),) = found(tmp_path, lines)
    assert line == place + 1
    assert what.startswith(f"line {line}")
    assert "was changed" in what


@given(count=st.integers(2, 12), place=st.integers(0, 11), key=st.sampled_from(["previous", "seq", "kind", "time"]))
@quick
def test_a_line_whose_head_was_changed(tmp_path: Path, count: int, place: int, key: str) -> None:
    lines = written(tmp_path, count)
    place %= count - (key in ("kind", "time"))  # the last line could be another one, as far as the chain says
    lines[place] = changed(
        lines[place],
        **{key: {"seq": 10**6, "previous": "f" * 64, "kind": "sent", "time": "2026-01-01T00:00:00+00:00"}[key]},
    )
    said = found(tmp_path, lines)
    assert any(f"line {place + 1}" in what or line == place + 1 for line, what in said)


@given(
    count=st.integers(2, 12), place=st.integers(0, 11), damage=st.sampled_from([b"", b"{}", b"\xff\x00", b"[" * 9999])
)
@quick
def test_a_line_that_is_no_event_any_more(tmp_path: Path, count: int, place: int, damage: bytes) -> None:
    lines = written(tmp_path, count)
    lines[place % count] = damage
    assert [line for line, _ in found(tmp_path, lines)] == [place % count + 1]


@given(count=st.integers(2, 12), place=st.integers(0, 10), many=st.integers(1, 5))
@quick
def test_removed_lines(tmp_path: Path, count: int, place: int, many: int) -> None:
    """But for those at the end."""
    lines = written(tmp_path, count)
    place %= count - 1
    many = min(many, count - 1 - place)
    said = found(tmp_path, lines[:place] + lines[place + many :])
    number = "1 line was" if many == 1 else f"{many} lines were"
    assert said == [(place + 1, f"{number} removed {f'after line {place}' if place else 'before line 1'}")]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda lines, place: b"no event", id="nonsense"),
        pytest.param(lambda lines, place: lines[len(lines) // 2], id="a-copy"),
        pytest.param(lambda lines, place: changed(lines[place % len(lines)], bytes=5), id="made-to-fit"),
    ],
)
@given(count=st.integers(2, 12), place=st.integers(0, 11))
@quick
def test_added_lines(tmp_path: Path, make: Callable[[Lines, int], bytes], count: int, place: int) -> None:
    lines = written(tmp_path, count)
    place %= count
    made = make(lines, place)
    lines.insert(place, made)
    ((line, what),) = found(tmp_path, lines)
    assert "added" in what
    twins = lines.count(made) == 2 and lines[line - 1] == made  # of two equal lines either may be the copy
    assert line == place + 1 or twins or line == len(lines) == place + 2  # and of the last one nothing is known


@given(count=st.integers(3, 12), one=st.integers(0, 11), other=st.integers(0, 11))
@quick
def test_swapped_lines(tmp_path: Path, count: int, one: int, other: int) -> None:
    lines = written(tmp_path, count)
    one, other = sorted((one % count, other % count))
    if one == other:
        return
    lines[one], lines[other] = lines[other], lines[one]
    said = found(tmp_path, lines)
    assert all(one + 1 <= line <= other + 1 for line, _ in said)
    assert said
    if other < count - 1:
        assert any("moved, and belongs" in what for _, what in said)


def test_a_line_that_was_swapped_says_where_it_belongs(tmp_path: Path) -> None:
    lines = written(tmp_path, 12)
    lines[3], lines[9] = lines[9], lines[3]
    assert found(tmp_path, lines) == [
        (4, "line 4 was moved, and belongs after line 9"),
        (10, "line 10 was moved, and belongs after line 3"),
    ]


def test_what_is_vouched_for_is_not_taken_for_the_changed_one(tmp_path: Path) -> None:
    lines = written(tmp_path, 6)
    lines[5] = changed(lines[5], previous="f" * 64)
    path = tmp_path / "events.jsonl"
    assert found(tmp_path, lines) == [(5, "line 5, or the hash of it in line 6, was changed")]
    signed = next(line.digest for line in LogLines(path) if line.number == 5)
    assert [one.what for one in breaks(path, [signed])] == ["line 6 was changed"]


@given(content=st.binary(max_size=400))
@quick
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in written(tmp_path, 3)) + content)
    lines = LogLines(path)
    assert sum(1 for _ in lines) == 3 + content.count(b"\n")
    assert lines.torn == len(content.rpartition(b"\n")[2])
    assert bool(breaks(path)) == (b"\n" in content)


def test_a_log_in_shreds_takes_neither_time_nor_memory(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n" * 10**6)
    tracemalloc.start()
    (one,) = breaks(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than 500 places" in one.what
    assert peak < 4 * 2**20


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "events.jsonl"
    first, second = written(tmp_path, 2)
    path.write_bytes(first + b"\n" + b"x" * (20 * LONGEST_LINE) + end + (second + b"\n" if end else b""))
    tracemalloc.start()
    lines = LogLines(path)
    numbers = [(line.number, line.event is None) for line in lines]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert numbers == ([(1, False), (2, True), (3, False)] if end else [(1, False)])
    assert lines.torn == (0 if end else 20 * LONGEST_LINE)
    assert peak < 8 * LONGEST_LINE
