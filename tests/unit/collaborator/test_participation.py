"""What a site does with what it held before, and with what the aggregator says of its updates."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import parse
from fedmol.fl.messages import RoundOpening
from fedmol.heartbeat import Heart
from fedmol.pki.certificates import CertificateFiles
from fedmol.run_folder import RunFolder
from fedmol.telemetry.events.round_events import RoundOpened, UpdateNotCounted
from fedmol.telemetry.events.run_events import StateDamaged
from fedmol.telemetry.log import EventLog, read
from fedmol.telemetry.queries import logged
from fedmol_collaborator import participation, run_end
from fedmol_collaborator.participation import Place, _note, _require_state, take_part
from fedmol_collaborator.watchdog import Watchdog
from tests.support.aggregator_folder import State

UNREACHABLE = FedmolError(Exit.AGGREGATOR_UNREACHABLE, "nobody answers", "check the address")


@pytest.fixture
def events(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl", run="r", site="north")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    settings = parse({"sites": [{"name": "north"}]}, "test")
    return Place(
        settings, "r", "north", CertificateFiles.in_folder(tmp_path), tmp_path / "shard.csv", RunFolder(tmp_path)
    )


def _take_part(place: Place, events: EventLog, error: FedmolError, monkeypatch: pytest.MonkeyPatch) -> str:
    """The part of a site that meets `error` before anything else."""

    def fails(*_: Any) -> str:
        raise error

    monkeypatch.setattr(participation, "_take_part", fails)
    return take_part(place, events, Watchdog(Heart(place.work.path), events, longest_call=10), threading.Event())


def _hold(place: Place, events: EventLog) -> str:
    run = State(place.work.path / "aggregator")
    run_end.keep(place.work, run.settings, run.agreement, run.weights, 3, events)
    held = run_end.run_end_of(place.work, "r").held
    assert held is not None
    return held


def test_a_site_that_holds_the_model_needs_no_aggregator(
    place: Place, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = _hold(place, events)
    assert _take_part(place, events, UNREACHABLE, monkeypatch) == held


def test_a_site_without_the_model_does(place: Place, events: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FedmolError) as caught:
        _take_part(place, events, UNREACHABLE, monkeypatch)
    assert caught.value is UNREACHABLE


def test_a_damaged_model_that_cannot_be_fetched_again_is_said(
    place: Place, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hold(place, events)
    (place.work.model).write_bytes(b"damaged")
    with pytest.raises(FedmolError) as caught:
        _take_part(place, events, UNREACHABLE, monkeypatch)
    assert caught.value.exit is Exit.STATE_UNUSABLE
    assert "the digest differs" in caught.value.message
    (damaged,) = logged(events.path, StateDamaged)
    assert damaged.body.file == str(place.work.model)


def test_other_errors_end_a_site_that_holds_the_model(
    place: Place, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hold(place, events)
    refusal = FedmolError(Exit.REMOVED, "removed", "ask")
    with pytest.raises(FedmolError) as caught:
        _take_part(place, events, refusal, monkeypatch)
    assert caught.value is refusal


def _opening(round: int, counted: int | None, reason: str | None = None) -> RoundOpening:
    digests = {"model": f"{round:064x}"}
    return RoundOpening(round=round, digests=digests, last_counted=counted, reason=reason, members_since=1)


@pytest.mark.parametrize(("counted", "sent"), [(3, None), (3, 2)])
def test_a_folder_that_knows_nothing_of_an_update_that_counted_is_refused(
    tmp_path: Path, counted: int, sent: int | None
) -> None:
    with pytest.raises(FedmolError, match="holds nothing of round 3") as refused:
        _require_state(tmp_path, _opening(4, counted), sent)
    assert refused.value.exit is Exit.STATE_UNUSABLE


@pytest.mark.parametrize(("counted", "sent"), [(None, None), (None, 2), (2, 2), (2, 3)])
def test_a_folder_that_knows_as_much_as_the_aggregator_is_taken(
    tmp_path: Path, counted: int | None, sent: int | None
) -> None:
    _require_state(tmp_path, _opening(4, counted), sent)


def test_a_round_that_opens_is_written_down_with_what_became_of_the_update(events: EventLog) -> None:
    _note(events, _opening(1, None), True, None)
    _note(events, _opening(2, 1), True, 1)
    _note(events, _opening(3, 1, "it moved too far"), True, 2)
    opened = [(event.round, event.body.counted) for event in logged(events.path, RoundOpened)]
    assert opened == [(1, None), (2, True), (3, False)]
    (uncounted,) = logged(events.path, UpdateNotCounted)
    assert (uncounted.round, uncounted.body.reason) == (2, "it moved too far")


def test_after_the_last_round_none_is_opened_and_an_old_update_came_too_late(events: EventLog) -> None:
    _note(events, _opening(4, None, "it moved too far"), False, 2)
    (event,) = read(events.path)
    assert isinstance(event.body, UpdateNotCounted)
    assert (event.round, event.body.reason) == (2, "it came after the round was closed")
