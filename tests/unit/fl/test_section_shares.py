"""Sections beside the model: what the engine keeps of them, and when a change of one does not count."""

from __future__ import annotations

import numpy as np
import pytest

from fedmol.fl.payload import CONTROL, MODEL, Vector, vector_digest
from fedmol.fl.strategies.scaffold import Scaffold
from fedmol.telemetry.events.round_events import RoundFinished, UpdateNotCounted
from fedmol.telemetry.events.run_events import StateRebuilt
from tests.support.in_memory import PARAMETERS, REACH, Build, Federation

SCAFFOLD = Scaffold(name="scaffold")
LEAST = 3 * REACH.gradient / REACH.steps**0.5  # a change that is never too long


def _change(length: float) -> Vector:
    return np.full(PARAMETERS, length / PARAMETERS**0.5, np.float32)


def _play(one: Federation, *sites: str, **lengths: float) -> None:
    """A round in which `sites` report, by default with changes of length 1."""
    round = one.engine.round
    for site in sites:
        one.report(site, round, **({CONTROL: _change(lengths[site])} if site in lengths else {}))
    while not one.engine.tick(0.001):
        pass


def test_the_control_variate_grows_by_the_shares_of_all_members(federation: Build) -> None:
    one = federation(strategy=SCAFFOLD, quorum=2)
    _play(one, "b", "c")
    expected = sum(np.float64(share) * one.changed(site, 1, CONTROL) for site, share in (("b", 0.3), ("c", 0.6)))
    np.testing.assert_allclose(one.engine.sections[CONTROL], expected, rtol=0, atol=1e-7)
    (said,) = one.said(RoundFinished)
    assert said.body.weights == {"b": 1 / 3, "c": 2 / 3}
    assert said.body.shares == {"a": 0.1, "b": 0.3, "c": 0.6}


def test_the_model_is_that_of_plain_averaging(federation: Build) -> None:
    one, plain = federation(strategy=SCAFFOLD), federation()
    one.play(2)
    plain.play(2)
    assert one.model.tobytes() == plain.model.tobytes()


def test_an_opening_names_every_section(federation: Build) -> None:
    one = federation(strategy=SCAFFOLD)
    assert one.engine.opening("a").digests[CONTROL] == vector_digest(np.zeros(PARAMETERS, np.float32))
    one.play(1)
    for _ in range(2):
        digests = {name: vector_digest(vector) for name, vector in one.engine.sections.items()}
        assert one.engine.opening("a").digests == digests
        one.restart()


def test_sections_with_equal_bytes_do_not_share_a_file(federation: Build) -> None:
    one, other = federation(strategy=SCAFFOLD), federation(strategy=SCAFFOLD)
    same = _change(1.0)
    for site in "abc":
        one.report(site, 1, same, **{CONTROL: same})
        other.report(site, 1, same, **{CONTROL: same})
        other.restart()
    assert len(list(one.work.glob("uploads/round-0001/*.safetensors"))) == 2
    assert one.engine.tick()
    assert other.engine.tick()
    assert one.content == other.content
    np.testing.assert_allclose(one.engine.sections[CONTROL], same, rtol=1e-6)


@pytest.mark.parametrize("sites", [2, 3, 5])
def test_a_change_that_is_too_long_keeps_the_whole_update_out(federation: Build, sites: int) -> None:
    one = federation(dict.fromkeys("abcde"[:sites], 10), strategy=SCAFFOLD)
    _play(one, *one.molecules, a=3.1)
    (event,) = one.said(UpdateNotCounted)
    assert (event.site, event.body.section) == ("a", CONTROL)
    assert event.body.norm == pytest.approx(3.1)
    assert event.body.limit == pytest.approx(3.0)
    finished = one.said(RoundFinished)[-1].body
    assert (finished.excluded, "a" in finished.weights) == (["a"], False)
    opening = one.engine.opening("a")
    assert opening.last_counted is None
    assert "too far" in (opening.reason or "")


@pytest.mark.parametrize("section", [MODEL, CONTROL])
def test_the_model_s_own_limit_holds_besides(federation: Build, section: str) -> None:
    one = federation(strategy=SCAFFOLD)
    far = one.model + 9.9 * (one.model - one.trained("a", 1))
    one.report("a", 1, far if section == MODEL else None, **({CONTROL: _change(9.0)} if section == CONTROL else {}))
    _play(one, "b", "c")
    assert [event.body.section for event in one.said(UpdateNotCounted)] == [section]


def test_a_site_that_was_away_may_have_come_as_far_as_the_others_in_steps(federation: Build) -> None:
    one = federation(strategy=SCAFFOLD, quorum=2, rounds=9)
    _play(one, "a", "b", "c")
    for _ in range(3):
        _play(one, "b", "c")
    _play(one, "a", "b", "c", a=11.9)  # four rounds in which the median was 1
    assert not one.said(UpdateNotCounted)
    _play(one, "a", "b", "c", a=11.9)
    assert [event.round for event in one.said(UpdateNotCounted)] == [6]


def test_a_site_that_is_kept_out_does_not_stay_out(federation: Build) -> None:
    one = federation(strategy=SCAFFOLD, rounds=9)
    for _ in range(2):
        _play(one, "a", "b", "c", a=5.0)
    assert [event.round for event in one.said(UpdateNotCounted)] == [1]
    assert one.said(RoundFinished)[1].body.excluded == []


def test_one_of_two_cannot_make_the_other_s_changes_too_long(federation: Build) -> None:
    one = federation({"a": 10, "b": 10}, strategy=SCAFFOLD)
    for _ in range(3):
        _play(one, "a", "b", a=0.0, b=0.99 * LEAST)
    assert not one.said(UpdateNotCounted)


def test_what_is_known_of_changes_outlasts_a_restart(federation: Build) -> None:
    one, other = (federation(strategy=SCAFFOLD, quorum=2, rounds=9) for _ in range(2))
    for each in (one, other):
        _play(each, "a", "b", "c", a=0.5)
        _play(each, "b", "c")
    other.restart()
    for each in (one, other):
        _play(each, "a", "b", "c", a=7.0)
    assert [event.body.limit for event in one.said(UpdateNotCounted)] == [
        event.body.limit for event in other.said(UpdateNotCounted)
    ]
    assert one.content == other.content


def _other_shares(one: Federation) -> None:
    one.molecules["a"] = 40


def _a_member_more(one: Federation) -> None:
    one.molecules["d"] = 10
    one.engine.amend(one.terms.rounds, list(one.molecules), one.quorum, 1000.0, 0.001)


def _a_member_less(one: Federation) -> None:
    one.engine.amend(one.terms.rounds, ["b", "c"], 2, 1000.0, 0.001)


@pytest.mark.parametrize("change", [_other_shares, _a_member_more, _a_member_less])
def test_where_members_or_shares_change_all_begins_anew_with_the_next_round(federation: Build, change: object) -> None:
    one = federation(strategy=SCAFFOLD, rounds=9, quorum=2)
    _play(one, "a", "b", "c")
    assert one.engine.opening("b").members_since == 1
    assert callable(change)
    change(one)
    _play(one, "b", "c")
    opening = one.engine.opening("b")
    assert (opening.last_counted, opening.members_since) == (2, 3)
    assert not one.engine.sections[CONTROL].any()
    assert opening.digests[CONTROL] == vector_digest(np.zeros(PARAMETERS, np.float32))
    _play(one, "b", "c", b=8.0, c=8.0)  # there is nothing that these could be too long for
    assert one.engine.sections[CONTROL].any()
    assert one.engine.opening("b").members_since == 3
    assert not one.said(UpdateNotCounted)


def test_the_round_in_which_members_changed_can_be_made_again(federation: Build) -> None:
    one = federation(strategy=SCAFFOLD)
    _play(one, "a", "b", "c")
    _other_shares(one)
    _play(one, "a", "b", "c")
    content, path = one.content, one.engine.checkpoints.path(2)
    path.unlink()
    one.restart()
    assert [event.round for event in one.said(StateRebuilt)] == [2]
    assert one.content == content


def test_accounts_of_plain_averaging_know_nothing_of_it(federation: Build) -> None:
    one = federation()
    one.play(1)
    assert not {"shares", "members_since", "changes", "digests"} & one.said(RoundFinished)[0].body.said().keys()
