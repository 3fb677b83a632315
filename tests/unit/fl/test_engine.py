"""Rounds from the first upload to the last model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.engine import StaleRound
from fedmol.fl.payload import MODEL, Payload, Sections, Vector, vector_digest
from fedmol.fl.strategies import State
from fedmol.fl.strategies.fedadam import FedAdam
from fedmol.fl.strategies.fedavg import FedAvg
from fedmol.fl.tasks import LOSS, SECONDS, TASKS, TRAIN, VALIDATE
from fedmol.fl.updates import Update
from fedmol.telemetry.events.round_events import RoundFinished, UpdateLate, UpdateNotCounted, UpdateRefused
from tests.support.in_memory import PARAMETERS, REACH, Build, Federation


def test_a_round_ends_with_the_weighted_mean_to_the_last_bit(federation: Build) -> None:
    one = federation()
    vectors = {site: one.trained(site, 1) for site in "cba"}
    for site, vector in vectors.items():
        one.report(site, 1, vector)
    assert one.engine.tick()
    total = np.zeros(PARAMETERS)
    for site in "abc":
        total += np.float64(one.molecules[site] / 100) * vectors[site]
    assert one.model.tobytes() == (one.initial + (total.astype(np.float32) - one.initial)).tobytes()
    np.testing.assert_allclose(one.model, total, rtol=0, atol=1e-6)
    (said,) = one.said(RoundFinished)
    assert said.body.weights == {"a": 0.1, "b": 0.3, "c": 0.6}
    assert said.body.model_digest == vector_digest(one.model)


def test_a_site_is_asked_for_what_is_left_and_hears_when_the_run_is_over(federation: Build) -> None:
    one = federation(rounds=1)
    assert one.engine.tasks("a") == (1, [VALIDATE, TRAIN])
    one.validate("a", 1)
    assert one.engine.tasks("a") == (1, [TRAIN])
    one.train("a", 1, one.trained("a", 1))
    assert one.engine.tasks("a") == (1, [])
    one.play(1)
    assert one.engine.finished
    assert one.engine.tasks("a") == (2, [])
    with pytest.raises(StaleRound):
        one.engine.entering(1)


def test_what_is_sent_twice_or_too_late_changes_nothing(federation: Build) -> None:
    one, other = federation(), federation()
    one.play(2)
    for site in "abc":
        other.report(site, 1)
        other.report(site, 1, other.trained(site, 1) + 1)  # a second upload of the same task
    other.engine.tick()
    other.report("a", 1)
    other.report("a", 1)
    other.play(2)
    assert other.model.tobytes() == one.model.tobytes()
    assert [(event.site, event.round) for event in other.said(UpdateLate)] == [("a", 1)]


def _no_metric(one: Federation) -> None:
    with one.engine.receiving("a", 1, TRAIN.name) as reception:
        assert reception is not None
        reception.section(MODEL).write(memoryview(one.model.tobytes()))


def _metric(name: str, value: float) -> object:
    def send(one: Federation) -> None:
        with one.engine.receiving("a", 1, TRAIN.name) as reception:
            assert reception is not None
            reception.metric(name, value)

    return send


def _section(name: str, content: bytes, times: int = 1) -> object:
    def send(one: Federation) -> None:
        with one.engine.receiving("a", 1, TRAIN.name) as reception:
            assert reception is not None
            reception.metric(LOSS, 1.0)
            reception.metric(SECONDS, 1.0)
            for _ in range(times):
                reception.section(name).write(memoryview(content))

    return send


SOUND = bytes(4 * PARAMETERS)
UNSOUND = SOUND[:-4] + np.float32(np.nan).tobytes()
INFINITE = np.float32(np.inf).tobytes() + SOUND[4:]


@pytest.mark.parametrize(
    ("send", "said"),
    [
        (_no_metric, "lacks loss, seconds"),
        (_metric(LOSS, float("nan")), "loss is nan"),
        (_metric(LOSS, float("inf")), "loss is inf"),
        (_metric(SECONDS, -1.0), "seconds is -1"),
        (_metric("negative_nll", 1.0), "an unknown metric 'negative_nll'"),
        (_section(MODEL, SOUND, times=2), "two sections 'model'"),
        (_section("momentum", SOUND), "an unknown section 'momentum'"),
        (_section(MODEL, SOUND[:-1]), "fewer bytes"),
        (_section(MODEL, SOUND + b"\0"), "more bytes"),
        (_section(MODEL, UNSOUND), f"not finite (the first is weight {PARAMETERS - 1})"),
        (_section(MODEL, INFINITE), "not finite (the first is weight 0)"),
    ],
)
def test_an_upload_that_was_not_agreed_is_refused_whole(federation: Build, send: object, said: str) -> None:
    one, honest = federation(), federation()
    assert callable(send)
    with pytest.raises(FedmolError) as caught:
        send(one)
    assert caught.value.exit is Exit.UPDATE_REFUSED
    assert said in caught.value.message
    assert [event.body.reason for event in one.said(UpdateRefused)] == [caught.value.message]
    assert not list(one.work.glob("uploads/round-*/*"))
    one.play(2)
    honest.play(2)
    assert one.model.tobytes() == honest.model.tobytes()


def test_an_unknown_task_is_refused(federation: Build) -> None:
    one = federation()
    with pytest.raises(FedmolError, match="unknown task 'foo'"), one.engine.receiving("a", 1, "foo"):
        pass


@pytest.mark.parametrize("sites", [2, 4])
@pytest.mark.parametrize("round", [1, 3])
def test_an_update_that_moved_too_far_does_not_count_and_the_run_goes_on(
    federation: Build, sites: int, round: int
) -> None:
    one = federation(dict.fromkeys("abcd"[:sites], 10))
    one.play(round - 1)
    before = one.model
    one.report("a", round, before + 9.9 * (before - one.trained("a", round)))
    for site in list(one.molecules)[1:]:
        one.report(site, round)
    assert one.engine.tick()
    (event,) = one.said(UpdateNotCounted)
    assert (event.site, event.round) == ("a", round)
    assert event.body.norm == pytest.approx(49.5, rel=1e-3)
    assert (event.body.limit or 99) < 49
    finished = one.said(RoundFinished)[-1].body
    assert "a" not in finished.weights
    assert finished.excluded == ["a"]
    assert finished.missing == []
    assert one.engine.opening("a").last_counted == (None if round == 1 else round - 1)
    assert "too far" in (one.engine.opening("a").reason or "")
    assert (one.engine.opening("b").last_counted, one.engine.opening("b").reason) == (round, None)
    one.play(4)
    assert [event.site for event in one.said(UpdateNotCounted)] == ["a"]


def test_a_minority_that_does_not_move_cannot_make_the_others_updates_too_long(federation: Build) -> None:
    one = federation({"a": 10, "b": 10})
    one.report("a", 1, one.model)
    one.report("b", 1)
    one.engine.tick()
    assert one.said(UpdateNotCounted) == []


def test_no_update_that_counts_ends_the_run(federation: Build) -> None:
    one = federation()
    for site in "abc":
        one.report(site, 1, one.trained(site, 1, length=2 * REACH.norm))
    with pytest.raises(FedmolError) as caught:
        one.engine.tick()
    assert caught.value.exit is Exit.QUORUM_LOST


def test_huge_numbers_move_too_far_instead_of_overflowing(federation: Build) -> None:
    one = federation()
    one.report("a", 1, np.full(PARAMETERS, 3e38, np.float32))
    one.report("b", 1)
    one.report("c", 1)
    assert one.engine.tick()
    assert np.isfinite(one.model).all()
    assert [event.site for event in one.said(UpdateNotCounted)] == ["a"]


def _close_without_a(one: Federation, round: int) -> None:
    one.report("b", round)
    one.report("c", round)
    while not one.engine.tick(0.001):
        pass


def test_a_round_with_the_quorum_closes_without_the_others_and_tells_them(federation: Build) -> None:
    one = federation(quorum=2)
    _close_without_a(one, 1)
    assert one.said(RoundFinished)[0].body.missing == ["a"]
    opening = one.engine.opening("a")
    assert (opening.round, opening.digests) == (2, {MODEL: vector_digest(one.model)})
    assert opening.last_counted is None
    assert "not there" in (opening.reason or "")


def test_a_site_that_was_away_hears_of_the_last_update_that_counted(federation: Build) -> None:
    one = federation(quorum=2)
    one.play(1)
    for round in (2, 3):
        _close_without_a(one, round)
    assert [one.engine.opening(site).last_counted for site in "abc"] == [1, 3, 3]
    one.restart()
    assert [one.engine.opening(site).last_counted for site in "abc"] == [1, 3, 3]


def test_a_cap_on_one_site_s_share(federation: Build) -> None:
    one = federation({"a": 10, "b": 10, "c": 980}, largest_share=0.5)
    one.play(1)
    assert one.said(RoundFinished)[0].body.weights == {"a": 0.25, "b": 0.25, "c": 0.5}


def test_what_is_known_of_a_site_s_moves_outlasts_the_rounds_that_it_misses(federation: Build) -> None:
    one = federation(quorum=2)
    one.play(1)
    for round in (2, 3):
        _close_without_a(one, round)
    moves = [event.body.moves for event in one.said(RoundFinished)]
    assert [set(known) for known in moves] == [{"a", "b", "c"}] * 3
    assert moves[2]["a"] == moves[0]["a"]


def test_a_step_to_numbers_that_are_not_finite_ends_the_run_and_keeps_the_model(federation: Build) -> None:
    one = federation(strategy=FedAdam(name="fedadam", learning_rate=1e39))
    for site in "abc":
        one.report(site, 1)
    with pytest.raises(FedmolError) as caught:
        one.engine.tick()
    assert caught.value.exit is Exit.DIVERGED
    assert "strategy.learning_rate" in caught.value.cure
    one.restart()
    assert one.engine.round == 1
    assert one.model.tobytes() == one.initial.tobytes()


_WRONG_STEPS: list[tuple[Callable[[Vector], tuple[Sections, State]], Exit, str]] = [
    (lambda model: ({MODEL: model * np.float32("nan")}, {MODEL: model}), Exit.DIVERGED, "numbers in model"),
    (lambda model: ({MODEL: model}, {"m": model * np.float32("inf")}), Exit.DIVERGED, "numbers in m "),
    (lambda model: ({MODEL: model.astype(np.float64)}, {}), Exit.INTERNAL, "float64"),
    (lambda model: ({MODEL: model[1:]}, {}), Exit.INTERNAL, f"({PARAMETERS - 1},)"),
    (lambda model: ({MODEL: model, "more": model}, {}), Exit.INTERNAL, "more"),
    (lambda model: ({MODEL: model}, {str(k): model for k in range(9)}), Exit.INTERNAL, "more than 8 times"),
]


@pytest.mark.parametrize(("step", "exit", "said"), _WRONG_STEPS)
def test_a_strategy_s_step_is_checked_before_its_round_is_kept(
    federation: Build, step: Callable[[Vector], tuple[Sections, State]], exit: Exit, said: str
) -> None:
    class Wrong(FedAvg):
        def step(
            self, payload: Payload, current: Sections, updates: Sequence[Update], state: State
        ) -> tuple[Sections, State]:
            sections, _ = super().step(payload, current, updates, state)
            return step(sections[MODEL])

    one = federation(strategy=Wrong())
    for site in "abc":
        one.report(site, 1)
    with pytest.raises(FedmolError, match=re.escape(said)) as caught:
        one.engine.tick()
    assert caught.value.exit is exit
    one.restart()
    assert one.engine.round == 1


def test_an_upload_for_a_round_that_has_not_begun_is_refused_and_logged(federation: Build) -> None:
    one = federation()
    for round in (0, 2, 99):
        with pytest.raises(FedmolError) as caught, one.engine.receiving("a", round, "train"):
            pass
        assert caught.value.exit is Exit.UPDATE_REFUSED
    one.engine.refusals.repeats.settle(everything=True)
    assert [event.body.times for event in one.said(UpdateRefused)] == [1, 2]
    one.play(4)


def amend(one: Federation, sites: list[str], rounds: int = 4) -> None:
    one.engine.amend(rounds, sites, len(sites), 1000.0, 0.001)


def test_what_a_removed_site_sent_in_the_open_round_is_dropped(federation: Build) -> None:
    one, plain = federation(), federation({"a": 10, "b": 30})
    one.play(1)
    plain.engine._last = one.engine._last  # the same model at the start of round 2
    plain.engine.round = 2
    one.report("c", 2)
    one.report("a", 2)
    amend(one, ["a", "b"])
    assert one.engine.reported() == {"a"}
    with pytest.raises(FedmolError, match="no part in this round"):
        one.report("c", 2)
    assert one.engine.tasks("c") == (2, [])
    one.report("b", 2)
    assert one.engine.tick()
    for site in ("a", "b"):
        plain.report(site, 2)
    assert plain.engine.tick()
    assert one.model.tobytes() == plain.model.tobytes()
    assert one.said(RoundFinished)[-1].body.missing == []


def test_a_removed_site_does_not_come_back_with_a_restart(federation: Build) -> None:
    one = federation()
    for site in ("a", "c"):
        one.report(site, 1)
    amend(one, ["a", "b"])
    one.restart()
    amend(one, ["a", "b"])
    assert one.engine.reported() == {"a"}


def test_sites_and_rounds_are_those_of_the_round_that_opens(federation: Build) -> None:
    one = federation(rounds=2)
    one.engine.before_round = lambda round: amend(one, ["a", "b", "c"][: 3 - (round == 2)], rounds=3)
    one.play(1)
    assert one.engine.tasks("c") == (2, [])
    for site in ("a", "b"):
        one.report(site, 2)
    assert one.engine.tick()
    assert not one.engine.finished
    assert [task.name for task in one.engine.tasks("c")[1]] == list(TASKS)
    one.play(3)
    assert one.engine.finished


def test_a_finished_run_goes_on_giving_its_model_out(federation: Build) -> None:
    one = federation(rounds=2)
    one.play(2)
    assert one.engine.finished
    assert one.engine.opening("a").round == 3
    assert one.engine.entering(3)[MODEL].tobytes() == one.model.tobytes()
    with pytest.raises(StaleRound):
        one.engine.entering(2)
    one.restart()
    assert one.engine.entering(3)[MODEL].tobytes() == one.model.tobytes()


def test_a_site_with_other_molecules_trains_again_in_the_open_round(federation: Build) -> None:
    one = federation()
    one.report("a", 1)
    one.engine.forget("a")
    assert one.engine.reported() == set()
    assert [task.name for task in one.engine.tasks("a")[1]] == list(TASKS)
    one.restart()
    assert one.engine.reported() == set()
    one.play(1)
    assert one.said(RoundFinished)[0].body.sites == ["a", "b", "c"]
