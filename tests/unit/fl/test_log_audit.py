"""An event log against what sites keep: whatever was done to it is found, and a power cut is not taken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from fedmol.errors import Exit, FedmolError
from fedmol.fl.log_anchors import AnchoredLine
from fedmol.fl.log_audit import Audit, audit, compare
from fedmol.telemetry.events.run_events import ClockStopped
from fedmol.telemetry.events.site_events import SiteProgress, SiteReturned
from fedmol.telemetry.log import FIRST, EventLog, digest
from tests.support.raw_log import append
from tests.support.signed_history import RUN, SITES, Authority, History

ROUNDS, LINES = 3, 2
ENDS = (5, 9, 13)  # the lines, counted from 1, that close the rounds; one more follows


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, trust: Authority) -> History:
    """Nobody may change it: see `copy`."""
    history = History(tmp_path_factory.mktemp("played"), trust)
    history.play(ROUNDS, LINES)
    return history


@pytest.fixture
def history(tmp_path: Path, trust: Authority) -> History:
    return History(tmp_path, trust)


@pytest.fixture
def copy(played: History, tmp_path: Path) -> Path:
    """The aggregator's log."""
    path = tmp_path / "copy.jsonl"
    path.write_bytes(played.aggregator.path.read_bytes())
    return path


def judged(path: Path, history: History) -> Audit:
    return audit(path, history.sites, [history.authority.certificate])


def found(result: Audit) -> str:
    return "\n".join(f"{one.line}: {one.what}" for one in result.tampering)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def put(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def chained(lines: list[bytes]) -> list[bytes]:
    """The lines with numbers and hashes that fit them, as somebody makes them who knows how a log is written."""
    done, previous = [], FIRST
    for number, line in enumerate(lines):
        done.append(json.dumps({**json.loads(line), "seq": number, "previous": previous}).encode())
        previous = digest(done[-1])
    return done


def test_a_log_that_nobody_has_changed(played: History) -> None:
    result = judged(played.aggregator.path, played)
    assert result.tampering == []
    assert f"the aggregator's log: lines 1 to {ENDS[-1]}, up to the end of round 3, match what" in " ".join(
        result.facts
    )
    assert "site north keeps 3 anchors (rounds 1\N{EN DASH}3), signed by aggregator" in result.facts
    assert any(one.startswith(f"what follows line {ENDS[-1]}: no anchor covers it") for one in result.unproven)
    assert not any("--ca" in one or "--against" in one for one in result.unproven)


def test_what_was_not_looked_at_is_said(played: History) -> None:
    path, (north, _) = played.aggregator.path, played.sites
    assert "not rewritten as a whole" in " ".join(audit(path).unproven)
    result = " ".join(audit(path, [north]).unproven)
    assert "that the aggregator signed the anchors: name the authority's certificate" in result
    assert "that south heard the same" in result
    assert "that site north's log was not rewritten as a whole" in " ".join(audit(north).unproven)


_LINES: list[dict[str, Any]] = [
    {"kind": "site_lost", "silent_seconds": 60.0},
    {"kind": "site_returned"},
    {"kind": "clock_stopped", "seconds": 5.0},
]


def _changed(line: bytes) -> bytes:
    said = json.loads(line)
    return json.dumps({**said, "phase": "changed" if said["phase"] != "changed" else "again"}).encode()


def _change(lines: list[bytes], place: int) -> None:
    lines[place] = _changed(lines[place])


def _remove(lines: list[bytes], place: int) -> None:
    del lines[place]


def _add(lines: list[bytes], place: int) -> None:
    lines.insert(place, json.dumps({**json.loads(lines[place]), **_LINES[place % 3]}).encode())


def _swap(lines: list[bytes], place: int) -> None:
    lines[place], lines[place - 1] = lines[place - 1], lines[place]


MANIPULATIONS: list[Callable[[list[bytes], int], None]] = [_change, _remove, _add, _swap]


@pytest.mark.parametrize("manipulate", MANIPULATIONS)
@pytest.mark.parametrize("anew", [False, True], ids=["by-itself", "with-all-hashes"])
@given(place=st.integers(0, ENDS[-1] - 1))
@settings(
    max_examples=25, deadline=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)
)
def test_whatever_is_done_to_what_was_signed_is_found(
    played: History, tmp_path: Path, manipulate: Callable[[list[bytes], int], None], anew: bool, place: int
) -> None:
    place = max(place, manipulate is _swap)
    lines = lines_of(played.aggregator.path)
    manipulate(lines, place)
    put(path := tmp_path / "copy.jsonl", chained(lines) if anew else lines)
    result = judged(path, played)
    assert result.tampering, manipulate.__name__
    if anew:
        first = place - (manipulate is _swap)
        end = next(end for end in ENDS if end > first)
        before = max((one for one in ENDS if one < end), default=0)
        assert f"{end}: line {end} is not the one that was signed for round {ENDS.index(end) + 1}" in found(result)
        assert f"of lines {before + 1} to {end} at least one was rewritten" in found(result)
    else:
        assert any(abs(one.line - (place + 1)) <= 1 for one in result.tampering), found(result)


@pytest.mark.parametrize("kept", range(1, ENDS[-1]))
@pytest.mark.parametrize("torn", [b"", b'{"seq": 7, "ti', b"\x00" * 4096])
def test_a_log_that_was_cut_off_before_an_anchor(played: History, copy: Path, kept: int, torn: bytes) -> None:
    put(copy, lines_of(copy)[:kept])
    copy.write_bytes(copy.read_bytes() + torn)
    result = judged(copy, played)
    round = next(number for number, end in enumerate(ENDS, 1) if end > kept)
    (one,) = result.tampering
    assert one.what.startswith(
        f"the log was cut off: it ends with line {kept}, and line {ENDS[round - 1]} was signed for round {round}"
    )
    assert "anchor kept by north and south" in one.what


@given(length=st.integers(0, 200), added=st.booleans())
@settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_what_a_power_cut_leaves_is_no_tampering(played: History, tmp_path: Path, length: int, added: bool) -> None:
    """Everything up to the newest anchor is there, and of what follows any number of bytes."""
    path = tmp_path / "copy.jsonl"
    log = EventLog(tmp_path / "whole.jsonl", run=RUN, site="aggregator")
    log.path.write_bytes(played.aggregator.path.read_bytes())
    log = EventLog(log.path, run=RUN, site="aggregator")
    if added:
        log.write(SiteProgress(), site="north", round=3, phase="finished")
    content = log.path.read_bytes()
    signed = len(b"\n".join(content.split(b"\n")[: ENDS[-1]])) + 1
    path.write_bytes(content[: min(signed + length, len(content))])
    result = judged(path, played)
    assert result.tampering == []
    unfinished = not path.read_bytes().endswith(b"\n")
    assert any("unfinished line" in one for one in result.facts) == unfinished


def test_a_restart_after_a_power_cut_goes_on_without_tampering(history: History) -> None:
    history.tell(history.round(1))
    path = history.aggregator.path
    path.write_bytes(path.read_bytes() + b'{"seq": 99, "torn')
    history.aggregator = EventLog(path, run=RUN, site="aggregator")
    history.aggregator.write(ClockStopped(seconds=60.0))
    history.tell(history.round(2))
    assert judged(path, history).tampering == []


def test_two_sites_that_were_told_two_histories(history: History, trust: Authority, tmp_path: Path) -> None:
    history.tell(history.round(1))
    history.tell(honest := history.round(2), "north")
    told = history.tell(replace(honest, head="d" * 64), "south")
    assert AnchoredLine.of(told) != honest
    for result in (judged(history.aggregator.path, history), compare(history.sites, [trust.certificate])):
        assert "two histories were told: " in found(result)
        assert f"site north, that round 2 ends in line {honest.log_seq + 1} ({honest.head[:12]})" in found(result)
        assert f"site south, that round 2 ends in line {honest.log_seq + 1} (dddddddddddd)" in found(result)


@pytest.mark.parametrize("change", [{"log_seq": 4}, {"log_seq": 3}])
def test_a_later_round_does_not_end_before_an_earlier_one(history: History, change: dict[str, Any]) -> None:
    history.tell(history.round(1), "north")
    history.tell(replace(history.round(2), **change), "south")
    assert "two histories were told" in found(compare(history.sites))


def test_a_site_that_was_given_another_model_than_the_log_says(history: History) -> None:
    history.tell(replace(history.round(1), model_digest="e" * 64), "south")
    result = judged(history.aggregator.path, history)
    assert f"as the end of round 1, in line {ENDS[0]}, with model eeeeeeeeeeee, and does not say so" in found(result)


def test_a_line_that_closes_no_round_was_signed(history: History) -> None:
    history.round(1)
    history.round(2)
    line = history.aggregator.write(ClockStopped(seconds=1.0))
    history.tell(AnchoredLine(RUN, 2, line.seq, line.head, "2" * 64))
    assert "was signed as the end of round 2" in found(judged(history.aggregator.path, history))


def test_sites_that_missed_rounds_keep_the_anchors_of_others(history: History) -> None:
    history.tell(history.round(1), "north")
    history.tell(history.round(2), "south")
    history.tell(history.round(3), "north")
    assert judged(history.aggregator.path, history).tampering == []


def test_a_forged_anchor_is_the_site_s_and_not_held_against_the_aggregator(history: History, trust: Authority) -> None:
    line = history.round(1)
    history.tell(line, "north")
    history.tell(replace(line, head="f" * 64), "south", files=trust.site)
    result = judged(history.aggregator.path, history)
    (one,) = result.tampering
    assert (one.path, one.line) == (history.logs["south"].path, 2)
    assert "the anchor of round 1 is not the aggregator's" in one.what


def test_an_anchor_that_was_changed_in_a_site_s_log(history: History, trust: Authority) -> None:
    history.play(2)
    path = history.logs["north"].path
    put(path, chained([line.replace(b'"log_seq": 4', b'"log_seq": 3') for line in lines_of(path)]))
    result = audit(path, (), [trust.certificate])
    assert [(one.line, "its signature is wrong" in one.what) for one in result.tampering] == [(2, True)]


def test_a_site_s_own_log(history: History) -> None:
    history.play(2)
    path = history.logs["north"].path
    assert audit(path).tampering == []
    lines = lines_of(path)
    lines[2] = _changed(lines[2])
    put(path, lines)
    assert found(audit(path)) == "3: line 3 was changed"
    assert "3: line 3 was changed" in found(judged(history.aggregator.path, history))


def test_logs_that_do_not_belong_together(history: History, trust: Authority, tmp_path: Path) -> None:
    north, south = history.sites
    other = EventLog(tmp_path / "other.jsonl", run="another", site="north")
    other.write(SiteReturned())
    (tmp_path / "notes.txt").write_text("nothing\nof interest\n")
    wrongs: list[tuple[Callable[[], object], Exit]] = [
        (lambda: audit(north, [south]), Exit.USAGE),
        (lambda: audit(history.aggregator.path, [history.aggregator.path]), Exit.USAGE),
        (lambda: audit(history.aggregator.path, [other.path]), Exit.USAGE),
        (lambda: compare([north, history.aggregator.path]), Exit.USAGE),
        (lambda: audit(tmp_path / "notes.txt"), Exit.STATE_UNUSABLE),
        (lambda: audit(north, [], [tmp_path / "notes.txt"]), Exit.CERTIFICATE_FOREIGN),
        (lambda: audit(north, [], [tmp_path / "none.crt"]), Exit.CERTIFICATE_MISSING),
    ]
    for wrong, exit in wrongs:
        with pytest.raises(FedmolError) as caught:
            wrong()
        assert caught.value.exit is exit


def test_a_log_does_not_pass_for_a_site_s_by_its_first_line(played: History, copy: Path) -> None:
    lines = lines_of(copy)
    lines[0] = json.dumps({**json.loads(lines[0]), "site": "north", "run": "other"}).encode()
    put(copy, chained(lines))
    assert "of lines 1 to 5 at least one was rewritten" in found(judged(copy, played))


def test_a_log_of_an_earlier_release_has_no_anchors(history: History) -> None:
    history.round(1)
    result = judged(history.aggregator.path, history)
    assert result.tampering == []
    assert "anything by site north's log: it keeps no anchor" in result.unproven
    assert "rewritten as a whole or cut off, nor its last line changed" in " ".join(result.unproven)


@pytest.mark.parametrize("said", [{}, {"log_seq": "4"}, {"head": [], "log_seq": 4}, {"certificate": {}}])
def test_an_event_that_holds_no_anchor(history: History, said: dict[str, Any]) -> None:
    history.tell(history.round(1))
    append(history.logs["north"].path, "log_anchored", site="north", round=1, **said)
    result = judged(history.aggregator.path, history)
    assert "line 4: the anchor of round 1 is not the aggregator's: log_anchored: " in found(result)


def test_a_renewed_authority_is_named_beside_the_former_one(history: History, trust: Authority, tmp_path: Path) -> None:
    later = Authority(tmp_path / "later")
    history.tell(history.round(1))
    history.tell(history.round(2), files=later.aggregator)
    path, both = history.aggregator.path, [trust.certificate, later.certificate]
    assert audit(path, history.sites, both).tampering == []
    assert len(audit(path, history.sites, both[:1]).tampering) == len(SITES)
