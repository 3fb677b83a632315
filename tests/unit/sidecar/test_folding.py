from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from fedmol.events import Event, EventLog
from fedmol.telemetry.reducer import apply
from fedmol.telemetry.state import DETAILED_ROUNDS, LATE_AFTER, Round, Run
from fedmol.telemetry.verdict import SILENT_AFTER, run_state, seconds_left, site_state
from tests.unit.raw_log import append

from .conftest import Story, watching


def _states(folder: Path, later: float = 0.0) -> dict[str, tuple[str, str]]:
    watch = watching(folder, later)
    return {name: site_state(site, watch.run, watch.clock()) for name, site in watch.run.sites.items()}


def _run(folder: Path) -> Run:
    return watching(folder).run


def test_a_site_that_has_not_come_is_connecting(story: Story) -> None:
    story.start()
    assert _states(story.folder)["north"] == ("connecting", "has not come yet")


def test_a_site_is_shown_where_it_is_in_its_work(story: Story) -> None:
    story.start().gather().train("north", 1)
    assert _states(story.folder) == {"north": ("training", ""), "south": ("waiting", "for the others")}
    run = _run(story.folder)
    assert (run.sites["north"].step, run.sites["north"].steps, run.sites["north"].seconds_left) == (3, 4, 1.0)


def test_a_site_whose_update_is_here_waits_even_if_it_still_says_sending(story: Story) -> None:
    story.start().gather().train("north", 1).progress("north", 1, "sending")
    assert _states(story.folder)["north"][0] == "sending"
    story.receive("north", 1).progress("north", 1, "sending")
    assert _states(story.folder)["north"][0] == "waiting"


def test_a_silent_site_is_late_and_then_lost_and_comes_back(story: Story) -> None:
    story.start().gather().train("north", 1)
    state, detail = _states(story.folder, later=LATE_AFTER + 2)["north"]
    assert state == "late"
    assert "silent for 14" in detail
    assert "training" in detail
    story.log.write("site_lost", site="north", silent_seconds=60.2)
    assert _states(story.folder)["north"] == ("lost", "silent for 60 s, then given up")
    story.log.write("site_returned", site="north")
    assert _states(story.folder)["north"][0] == "connecting"
    assert [one.what for one in _run(story.folder).incidents] == ["site lost", "site back"]


def test_a_refused_site_keeps_the_reason_when_it_fails_of_it(story: Story) -> None:
    story.start().gather().train("north", 1)
    story.log.write("update_refused", site="north", round=1, reason="its norm is not finite")
    story.progress("north", 1, "failed")
    assert _states(story.folder)["north"] == ("refused", "its norm is not finite")
    assert _run(story.folder).sites["north"].updates["refused"] == 1


def test_strangers_are_counted_but_become_no_sites(story: Story) -> None:
    story.start()
    for name in ("mallory", "trudy"):
        story.log.write("site_refused", site=name, reason="certificate-name", detail="who is this")
    story.log.write("site_refused", reason="something new", detail="")
    run = _run(story.folder)
    assert set(run.sites) == {"north", "south"}
    assert run.refusals == {"certificate-name": 2, "other": 1}


def test_steps_are_counted_across_rounds_and_to_the_end_of_each(story: Story) -> None:
    story.start().gather().play(1).play(2)
    assert _run(story.folder).sites["north"].steps_total == 8


def test_the_timeline_of_a_round_has_every_phase_once_and_closes(story: Story) -> None:
    story.start().gather().play(1)
    spans = _run(story.folder).rounds[1].spans["north"]
    assert [span.phase for span in spans] == ["download", "validate", "train", "upload", "idle"]
    assert all(a.ended == b.began for a, b in pairwise(spans))
    assert all(span.ended is not None for span in spans)


@pytest.mark.parametrize(("silent", "trained"), [(0.0, 7.0), (5.0, 2.0), (60.0, 0.0)])
def test_a_lost_site_has_been_gone_since_it_fell_silent(silent: float, trained: float) -> None:
    one = Round(1, began=100.0)
    run = Run(role="aggregator", round=1, rounds={1: one})
    one.enter("north", "train", 103.0)
    lost = Event(9, "1970-01-01T00:01:50+00:00", "trial", "north", None, None, "site_lost", {"silent_seconds": silent})
    apply(run, lost)
    train, gone = one.spans["north"]
    assert (gone.phase, train.ended) == ("lost", gone.began)
    assert gone.began - train.began == trained


def test_only_the_newest_rounds_keep_their_timelines(story: Story) -> None:
    story.start().gather()
    for round in range(1, DETAILED_ROUNDS + 5):
        story.play(round)
    run = _run(story.folder)
    assert [number for number, one in run.rounds.items() if not one.spans] == [1, 2, 3, 4]
    assert all(one.nll == 70 + number for number, one in run.rounds.items())


def test_a_round_that_is_played_again_replaces_its_first_account(story: Story) -> None:
    story.start().gather().play(1)
    story.log.write("round_started", round=2)
    story.train("north", 2)
    story.start()
    assert list(_run(story.folder).rounds) == [2, 1]  # the aggregator began again at round 1
    assert _run(story.folder).incidents[-1].what == "aggregator started again"
    assert _states(story.folder)["north"][0] == "connecting"


def test_a_finished_run_stays_finished_while_it_is_served_again(story: Story) -> None:
    story.start().gather().play(1).end()
    story.log.write("run_stopped", reason="terminated", detail="asked to stop")
    assert run_state(_run(story.folder), 0)[0] == "stopped"
    story.log.write("run_started", sites=story.sites, quorum=1, rounds=3, parameters=100, model_bytes=400)
    run = _run(story.folder)
    assert run_state(run, 1e12)[0] == "finished"
    assert {state for state, _ in _states(story.folder, later=999).values()} == {"finished"}
    assert run.incidents[-1].what == "aggregator started again"


def test_the_run_is_silent_when_nobody_writes_and_says_so(story: Story) -> None:
    story.start().gather().train("north", 1)
    run = _run(story.folder)
    assert run.last_event is not None
    assert run_state(run, run.last_event + 1)[0] == "running"
    assert run_state(run, run.last_event + SILENT_AFTER + 1)[0] == "silent"


def test_a_finished_run_tells_who_was_missing_and_nobody_is_late_in_it(story: Story) -> None:
    story.start().gather().play(1)
    story.log.write("site_lost", site="south", silent_seconds=60)
    story.end(["south"])
    assert {name: state for name, (state, _) in _states(story.folder, later=999).items()} == {
        "north": "finished",
        "south": "lost",
    }
    assert "south" in run_state(_run(story.folder), 1e12)[1]


def test_a_site_that_was_away_and_came_back_has_finished_in_a_run_that_is_not_complete(story: Story) -> None:
    story.start().gather().play(1)
    story.end(missed={"south": 12})
    assert _states(story.folder, later=999)["south"][0] == "finished"
    assert run_state(_run(story.folder), 1e12) == ("finished", "With the quorum: south missed 12 rounds.")


def test_a_stopped_aggregator_knows_no_site_s_state(story: Story) -> None:
    story.start().gather().train("north", 1)
    story.log.write("run_stopped", reason="quorum-lost", detail="only 0 of 2 sites")
    assert _states(story.folder)["north"][0] == "unknown"
    assert run_state(_run(story.folder), 0)[0] == "stopped"


def test_the_time_left_is_that_of_the_rounds_left(story: Story) -> None:
    story.start().gather().play(1)
    watch = watching(story.folder)
    assert seconds_left(watch.run, watch.clock()) == pytest.approx(4.0)


def test_events_that_are_not_what_their_kind_has_are_counted_and_passed_over(story: Story) -> None:
    path = story.start().log.path
    append(path, "update_received", site="north", round=1)
    append(path, "site_joined", site="north", molecules="many")
    append(path, "round_started")
    append(path, "of_tomorrow")
    append(path, "site_lost", site="north", silent_seconds=1, of_tomorrow="x")
    run = _run(story.folder)
    assert (run.misread, run.misread_line) == (3, 3)
    assert run.sites["north"].state == "lost"


def test_a_site_s_own_log_tells_what_left_it(site_log: EventLog) -> None:
    watch = watching(site_log.path.parent)
    run = watch.run
    assert run.role == "site"
    (tensor,) = run.tensors.values()
    assert (tensor.name, tensor.shape, tensor.times, tensor.last_round) == ("model", (100,), 1, 1)
    site = run.sites["north"]
    assert (site.state, site.sent_bytes, site.received_bytes, site.steps_total) == ("training", 400, 800, 6)
    assert [span.phase for span in run.rounds[1].spans["north"]] == ["validate", "train", "exchange"]
    assert run.rounds[1].loss == pytest.approx(2.5)  # the mean of the steps that were logged


def test_a_site_is_only_called_late_while_it_trains(site_log: EventLog) -> None:
    assert _states(site_log.path.parent, later=100)["north"][0] == "late"
    site_log.write("phase", round=2, phase="sending")
    assert _states(site_log.path.parent, later=100)["north"][0] == "sending"


@pytest.mark.parametrize(("reason", "state"), [("terminated", "stopped"), ("bad-data", "failed")])
def test_a_site_that_ends_early_says_why(site_log: EventLog, reason: str, state: str) -> None:
    site_log.write("run_stopped", reason=reason, detail="because")
    assert _states(site_log.path.parent)["north"] == (state, "because")


def test_a_site_that_was_started_again_is_no_longer_stopped(site_log: EventLog) -> None:
    site_log.write("phase", phase="stopped")
    site_log.write("run_stopped", reason="terminated", detail="asked to stop")
    assert run_state(_run(site_log.path.parent), 0)[0] == "stopped"
    site_log.write("phase", phase="connecting")
    run = _run(site_log.path.parent)
    assert run_state(run, 0)[0] == "running"
    assert run.progressed == run.last_event
    assert _states(site_log.path.parent)["north"][0] == "connecting"
    assert run.incidents[-1].what == "site started again"


def test_training_moves_on_with_a_step_or_an_update_and_not_with_a_sign_of_life() -> None:
    run = Run()
    training = {"steps": 4, "loss": 2.5, "molecules_per_second": 100.0, "seconds_left": 1.0}
    arrived: dict[str, object] = {"molecules": 10, "bytes": 400, "norm": 1.5}
    told: list[tuple[str, str, dict[str, object], float | None]] = [
        ("run_started", "", {"sites": ["north"], "quorum": 1, "rounds": 1, "parameters": 1, "model_bytes": 1}, None),
        ("agreement", "", {"molecules": {"north": 10}, "weights": {"north": 1.0}, "local_steps": 4}, 1.0),
        ("site_progress", "validating", {"step": 0, "steps": 0}, 1.0),
        ("site_progress", "training", {"step": 2, **training}, 3.0),
        ("site_progress", "training", {"step": 2, **training}, 3.0),
        ("update_received", "", arrived, 5.0),
        ("site_progress", "waiting for the others", {"step": 0, "steps": 0}, 5.0),
    ]
    for seconds, (kind, phase, fields, moved) in enumerate(told):
        time = datetime.fromtimestamp(seconds, UTC).isoformat()
        apply(run, Event(seconds, time, "trial", "north", 1, phase or None, kind, fields))
        assert run.progressed == moved
    assert run.misread == 0


def test_a_speed_stays_as_it_was_last_told_when_the_next_round_begins(site_log: EventLog) -> None:
    """Otherwise it would be missing from scrapes, and from dashboards, by chance."""
    site_log.write("phase", round=3, phase="training")
    site = _run(site_log.path.parent).sites["north"]
    assert site.molecules_per_second == 9.0
    assert site.seconds_left is None
