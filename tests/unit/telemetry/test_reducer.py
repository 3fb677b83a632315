from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fedmol.formats import duration
from fedmol.telemetry.events.event_record import told
from fedmol.telemetry.events.round_events import RoundStarted, UpdateLate, UpdateRefused
from fedmol.telemetry.events.run_events import RunStarted, RunStopped
from fedmol.telemetry.events.site_events import PhaseEntered, SiteLost, SiteRefused, SiteReturned
from fedmol.telemetry.log import Event, EventLog
from fedmol.telemetry.reducer import apply
from fedmol.telemetry.state import DETAILED_ROUNDS, LATE_AFTER, Round, Run
from fedmol.telemetry.verdict import SILENT_AFTER, run_state, seconds_left, site_state
from tests.support.raw_log import append
from tests.support.story import Story, watching


def _states(folder: Path, later: float = 0.0) -> dict[str, tuple[str, str]]:
    watch = watching(folder, later)
    return {name: site_state(site, watch.run, watch.clock()) for name, site in watch.run.sites.items()}


def _run(folder: Path) -> Run:
    return watching(folder).run


def test_a_site_that_has_not_come_is_connecting(story: Story) -> None:
    story.start()
    assert _states(story.folder)["north"] == ("connecting", "has not connected yet")


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
    story.log.write(SiteLost(silent_seconds=60.2), site="north")
    assert _states(story.folder)["north"] == ("lost", f"silent for {duration(60)}, then given up")
    story.log.write(SiteReturned(), site="north")
    assert _states(story.folder)["north"][0] == "connecting"
    assert [one.what for one in _run(story.folder).incidents.known] == ["site lost", "site back"]


def test_a_refused_site_keeps_the_reason_when_it_fails_of_it(story: Story) -> None:
    story.start().gather().train("north", 1)
    story.log.write(UpdateRefused(reason="its norm is not finite"), site="north", round=1)
    story.progress("north", 1, "failed")
    assert _states(story.folder)["north"] == ("refused", "its norm is not finite")
    assert _run(story.folder).sites["north"].updates["refused"] == 1


def test_strangers_are_counted_but_become_no_sites(story: Story) -> None:
    story.start()
    for name in ("mallory", "trudy"):
        story.log.write(SiteRefused(reason="certificate-name", detail="who is this"), site=name)
    story.log.write(SiteRefused(reason="something new", detail=""))
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
    lost = Event(
        9, "1970-01-01T00:01:50+00:00", "trial", "north", None, None, "site_lost", SiteLost(silent_seconds=silent)
    )
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
    story.log.write(RoundStarted(), round=2)
    story.train("north", 2)
    story.start()
    assert list(_run(story.folder).rounds) == [2, 1]  # the aggregator began again at round 1
    assert _run(story.folder).incidents.known[-1].what == "aggregator started again"
    assert _states(story.folder)["north"][0] == "connecting"


def test_a_finished_run_stays_finished_while_it_is_served_again(story: Story) -> None:
    story.start().gather().play(1).end()
    story.log.write(RunStopped(reason="terminated", detail="asked to stop"))
    assert run_state(_run(story.folder), 0)[0] == "stopped"
    story.log.write(RunStarted(sites=story.sites, quorum=1, rounds=3, parameters=100, model_bytes=400))
    run = _run(story.folder)
    assert run_state(run, 1e12)[0] == "finished"
    assert {state for state, _ in _states(story.folder, later=999).values()} == {"finished"}
    assert run.incidents.known[-1].what == "aggregator started again"


def test_the_run_is_silent_when_nobody_writes_and_says_so(story: Story) -> None:
    story.start().gather().train("north", 1)
    run = _run(story.folder)
    assert run.last_event is not None
    assert run_state(run, run.last_event + 1)[0] == "running"
    assert run_state(run, run.last_event + SILENT_AFTER + 1)[0] == "silent"


def test_a_finished_run_tells_who_was_missing_and_nobody_is_late_in_it(story: Story) -> None:
    story.start().gather().play(1)
    story.log.write(SiteLost(silent_seconds=60), site="south")
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
    story.log.write(RunStopped(reason="quorum-lost", detail="only 0 of 2 sites"))
    assert _states(story.folder)["north"][0] == "unknown"
    assert run_state(_run(story.folder), 0)[0] == "stopped"


def test_the_time_left_is_that_of_the_rounds_left(story: Story) -> None:
    story.start().gather().play(1)
    watch = watching(story.folder)
    assert seconds_left(watch.run, watch.clock()) == pytest.approx(4.0)


def test_a_round_that_takes_longer_than_those_before_is_over_when_its_sites_say(story: Story) -> None:
    story.start().gather().play(1)
    story.progress("north", 2, "training", step=3, steps=300, seconds_left=25.0)
    watch = watching(story.folder, later=5.0)
    assert seconds_left(watch.run, watch.clock()) == pytest.approx(2.0 + 20.0, abs=0.1)


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
    (tensor,) = run.outbound.tensors.values()
    assert (tensor.name, tensor.shape, tensor.times, tensor.last_round) == ("model", (100,), 1, 1)
    site = run.sites["north"]
    assert (site.state, site.sent_bytes, site.received_bytes, site.steps_total) == ("training", 400, 800, 6)
    assert [span.phase for span in run.rounds[1].spans["north"]] == ["validate", "train", "exchange"]
    assert run.rounds[1].loss == pytest.approx(2.5)  # the mean of the steps that were logged


def test_a_site_is_only_called_late_while_it_trains(site_log: EventLog) -> None:
    assert _states(site_log.path.parent, later=100)["north"][0] == "late"
    site_log.write(PhaseEntered(), round=2, phase="sending")
    assert _states(site_log.path.parent, later=100)["north"][0] == "sending"


@pytest.mark.parametrize(("reason", "state"), [("terminated", "stopped"), ("bad-data", "failed")])
def test_a_site_that_ends_early_says_why(site_log: EventLog, reason: str, state: str) -> None:
    site_log.write(RunStopped(reason=reason, detail="because"))
    assert _states(site_log.path.parent)["north"] == (state, "because")


def test_a_site_that_was_started_again_is_no_longer_stopped(site_log: EventLog) -> None:
    site_log.write(PhaseEntered(), phase="stopped")
    site_log.write(RunStopped(reason="terminated", detail="asked to stop"))
    assert run_state(_run(site_log.path.parent), 0)[0] == "stopped"
    site_log.write(PhaseEntered(), phase="connecting")
    run = _run(site_log.path.parent)
    assert run_state(run, 0)[0] == "running"
    assert run.progressed == run.last_event
    assert _states(site_log.path.parent)["north"][0] == "connecting"
    assert run.incidents.known[-1].what == "site started again"


def test_training_moves_on_with_a_step_or_an_update_and_not_with_a_sign_of_life() -> None:
    run = Run()
    training = {"steps": 4, "loss": 2.5, "molecules_per_second": 100.0, "seconds_left": 1.0}
    arrived: dict[str, object] = {"molecules": 10, "bytes": 400, "norm": 1.5}
    story: list[tuple[str, str, dict[str, object], float | None]] = [
        ("run_started", "", {"sites": ["north"], "quorum": 1, "rounds": 1, "parameters": 1, "model_bytes": 1}, None),
        ("agreement", "", {"molecules": {"north": 10}, "weights": {"north": 1.0}, "local_steps": 4}, 1.0),
        ("site_progress", "validating", {"step": 0, "steps": 0}, 1.0),
        ("site_progress", "training", {"step": 2, **training}, 3.0),
        ("site_progress", "training", {"step": 2, **training}, 3.0),
        ("update_received", "", arrived, 5.0),
        ("site_progress", "waiting for the others", {"step": 0, "steps": 0}, 5.0),
    ]
    for seconds, (kind, phase, fields, moved) in enumerate(story):
        time = datetime.fromtimestamp(seconds, UTC).isoformat()
        apply(run, Event(seconds, time, "trial", "north", 1, phase or None, kind, told(kind, 1, fields)))
        assert run.progressed == moved
    assert run.misread == 0


def test_a_speed_stays_as_it_was_last_told_when_the_next_round_begins(site_log: EventLog) -> None:
    """Otherwise it would be missing from scrapes, and from dashboards, by chance."""
    site_log.write(PhaseEntered(), round=3, phase="training")
    site = _run(site_log.path.parent).sites["north"]
    assert site.molecules_per_second == 9.0
    assert site.seconds_left is None


def _phases(run: Run, site: str, round: int) -> list[str]:
    return [span.phase for span in run.rounds[round].spans.get(site, [])]


class Minutes:
    """An aggregator's log with times of its own, in seconds."""

    def __init__(self) -> None:
        self.run, self.now, self.seq = Run(), 0.0, 0

    def tell(
        self, kind: str, site: str = "aggregator", round: int | None = None, phase: str | None = None, **fields: object
    ) -> Minutes:
        time = datetime.fromtimestamp(1_800_000_000 + self.now, UTC).isoformat()
        apply(self.run, Event(self.seq, time, "trial", site, round, phase, kind, told(kind, round, fields)))
        self.seq += 1
        return self

    def after(self, seconds: float) -> Minutes:
        self.now += seconds
        return self

    def begin(self) -> Minutes:
        sites = ["north", "south"]
        self.tell("run_started", sites=sites, quorum=1, rounds=3, parameters=1, model_bytes=4)
        for site in sites:
            self.tell("site_joined", site=site, molecules=10)
        self.tell("round_started", round=1)
        return self.tell("agreement", molecules={}, weights={}, local_steps=4)

    def work(self, site: str, round: int, *phases: str, seconds: float = 2.0) -> Minutes:
        for phase in phases:
            self.tell("site_progress", site, round, phase).after(seconds)
        return self

    def close(self, round: int) -> Minutes:
        account: dict[str, Any] = {
            "sites": ["north"],
            "weights": {"north": 1.0},
            "missing": ["south"],
            "site_loss": {},
            "site_nll": {},
        }
        return self.tell("round_finished", round=round, seconds=60.0, loss=1.0, nll=1.0, model_digest="d", **account)


def _now(told: Minutes, site: str) -> tuple[str, str]:
    return site_state(told.run.sites[site], told.run, 1_800_000_000 + told.now)


def test_a_frozen_site_is_drawn_as_silent_and_not_as_fetching_the_model() -> None:
    """South freezes while it trains in round 1; north, which is the quorum, goes on."""
    told = Minutes().begin().work("south", 1, "receiving model", "validating", "training")
    for _ in range(6):
        told.work("north", 1, "training", seconds=5.0)
    told.tell("update_received", "north", 1, molecules=10, bytes=4, norm=1.0).close(1)
    assert _phases(told.run, "south", 1) == ["download", "validate", "train", "silent"]
    train, silent = told.run.rounds[1].spans["south"][2:]
    assert train.ended == silent.began == told.run.sites["south"].seen
    told.tell("round_started", round=2)
    assert _phases(told.run, "south", 2) == ["silent"]
    assert _phases(told.run, "north", 2) == ["download"]


def test_a_site_that_comes_back_in_the_same_round_was_silent_between() -> None:
    told = Minutes().begin().work("north", 1, "training").after(30).work("north", 1, "training", "sending")
    assert _phases(told.run, "north", 1) == ["download", "train", "silent", "train", "upload"]


def test_a_site_that_validates_is_drawn_validating() -> None:
    told = Minutes().begin()
    for _ in range(4):
        told.work("north", 1, "validating", seconds=4.0)
    download, validate = told.run.rounds[1].spans["north"]
    assert (download.phase, validate.phase) == ("download", "validate")
    assert validate.began - download.began < 1.0
    assert validate.ended is None
    assert site_state(told.run.sites["north"], told.run, (told.run.last_event or 0) + 1)[0] == "validating"


def test_sites_come_and_go_by_the_coordinator_s_changes() -> None:
    told = Minutes().begin().work("south", 1, "training")
    told.tell(
        "settings_changed", round=2, number=1, changes={"remove": ["south"], "add": ["east"], "rounds": 9, "quorum": 2}
    )
    assert _now(told, "south") == ("training", "")  # until the round from which on it holds
    told.close(1).tell("round_started", round=2)
    assert _now(told, "south") == ("removed", "by the coordinator, from round 2 on")
    assert _now(told, "east") == ("connecting", "added from round 2 on")
    assert (told.run.rounds_target, told.run.quorum, told.run.changes) == (9, 2, 1)
    assert _phases(told.run, "south", 2) == []
    told.work("south", 2, "training")  # it does not know yet
    assert _now(told, "south")[0] == "removed"
    assert told.run.incidents.known[-1].detail == "change 1: rounds 9, quorum 2, add east, remove south"
    told.tell("settings_changed", round=2, number=2, changes={"add": ["south"]})
    assert _now(told, "south")[0] == "connecting"


def test_who_holds_the_final_model_is_known_after_the_end() -> None:
    told = Minutes().begin().close(1).tell("run_finished").tell("model_delivered", "north", model_digest="ab" * 32)
    assert {name: site.has_model for name, site in told.run.sites.items()} == {"north": True, "south": False}


def test_what_is_repeated_counts_as_often_as_it_says(story: Story) -> None:
    story.start().gather()
    for times in (1, 600):
        story.log.write(SiteRefused(reason="tls-handshake", detail="no certificate", times=times), site="mallory")
        story.log.write(UpdateLate(times=times), site="north", round=1)
    run = _run(story.folder)
    assert run.refusals == {"tls-handshake": 601}
    assert run.sites["north"].updates["late"] == 601


def test_more_rounds_than_are_kept_are_counted(tmp_path: Path) -> None:
    told = Minutes().begin()
    for round in range(1, 2101):
        told.tell("round_started", round=round).close(round)
    assert (told.run.rounds_finished, len(told.run.rounds), told.run.past.rounds) == (2100, 2000, 100)
    assert sum(told.run.past.by_seconds) == 100


def _moment(told: Minutes) -> str:
    return datetime.fromtimestamp(1_800_000_000 + told.now, UTC).isoformat()


def _refused(told: Minutes, site: str, **fields: Any) -> Minutes:
    return told.tell("site_refused", site, reason="removed", detail="the coordinator has removed it", **fields)


def test_a_refusal_that_is_told_afterwards_does_not_undo_what_the_site_has_done_since() -> None:
    told = Minutes().begin()
    told.tell("settings_changed", round=1, number=1, changes={"remove": ["south"]})
    _refused(told, "south").after(4)
    last = _moment(told)
    told.after(1).tell("settings_changed", round=1, number=2, changes={"add": ["south"]})
    _refused(told, "south", times=2, last=last)
    assert _now(told, "south")[0] == "connecting"
    told.after(13).tell("site_returned", "south").work("south", 1, "training").after(1)
    _refused(told, "south", times=2, last=last)
    assert _now(told, "south") == ("training", "")
    assert told.run.refusals == {"removed": 5}


def test_a_refusal_that_is_told_afterwards_holds_for_a_site_that_has_done_nothing_since() -> None:
    told = Minutes().begin().after(5)
    last = _moment(told)
    _refused(told.after(50), "south", times=3, last=last)
    assert _now(told, "south")[0] == "refused"


def test_an_update_that_was_refused_long_ago_is_no_sign_of_life_of_now() -> None:
    told = Minutes().begin().work("north", 1, "training", seconds=4)
    last = _moment(told)
    told.after(1).work("north", 1, "sending", seconds=40)
    for kind in ("update_refused", "update_late"):
        told.tell(kind, "north", 1, times=2, last=last, **({"reason": "late"} if kind == "update_refused" else {}))
    state, detail = _now(told, "north")
    assert state == "late"
    assert "last seen sending" in detail
    assert (told.run.sites["north"].updates["refused"], told.run.sites["north"].updates["late"]) == (2, 2)


def test_an_incident_that_is_told_afterwards_stands_where_it_happened() -> None:
    told = Minutes().begin()
    _refused(told, "south").after(3)
    last = _moment(told)
    told.after(3).tell("site_returned", "south").after(40)
    _refused(told, "south", times=2, last=last)
    assert [(one.what, one.times, one.time - 1_800_000_000) for one in told.run.incidents.known] == [
        ("peer refused", 3, 3.0),
        ("site back", 1, 6.0),
    ]


def test_an_incident_that_is_older_than_all_that_are_kept_is_left_out() -> None:
    told = Minutes().begin()
    last = _moment(told)
    for _ in range(60):
        told.after(1).tell("site_lost", "north", silent_seconds=60.0).tell("site_returned", "north")
    kept = list(told.run.incidents.known)
    _refused(told, "south", times=2, last=last)
    assert list(told.run.incidents.known) == kept


def test_a_last_time_of_the_future_is_taken_for_now() -> None:
    told = Minutes().begin()
    _refused(told, "south", times=2, last="2099-01-01T00:00:00+00:00")
    assert told.run.incidents.known[-1].time == told.run.last_event
