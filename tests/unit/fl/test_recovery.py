"""After a kill, a power cut or damage: the same model as without, or a refusal that names the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.payload import Payload
from fedmol.fl.strategies import FedAvg
from fedmol.fl.strategies.fedadam import FedAdam
from fedmol.fl.strategies.scaffold import Scaffold
from fedmol.fl.tasks import NEGATIVE_NLL, SECONDS, VALIDATE
from fedmol.fl.uploads import UploadStore
from fedmol.telemetry.events.round_events import RoundFinished
from fedmol.telemetry.events.run_events import StateDamaged, StateRebuilt
from fedmol.telemetry.log import EventLog, LogPosition, digest, parse
from tests.support.in_memory import Build, Federation

ROUNDS = 4


@pytest.fixture(params=[FedAvg(), FedAdam(name="fedadam"), Scaffold(name="scaffold")], ids=lambda one: one.name)
def undisturbed(request: pytest.FixtureRequest, federation: Build) -> Federation:
    one = federation(strategy=request.param)
    one.play(ROUNDS)
    return one


def _flip(path: Path, at: float = 0.7) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)


def _newest(one: Federation) -> Path:
    return one.engine.checkpoints.path(one.engine.round - 1)


def test_a_restart_at_any_moment_ends_with_the_same_bytes(undisturbed: Federation, federation: Build) -> None:
    one = federation(strategy=undisturbed.terms.strategy)
    while not one.engine.finished:
        round = one.engine.round
        for site in one.molecules:
            one.validate(site, round)
            one.restart()
            one.train(site, round, one.trained(site, round))
            one.restart()
        assert one.engine.tick()
        one.restart()
    assert one.content == undisturbed.content
    assert [event.round for event in one.said(RoundFinished)] == list(range(1, ROUNDS + 1))


class Killed(BaseException):
    """Nothing may catch it, as nothing catches kill -9."""


@pytest.mark.parametrize(
    "place",
    [
        "fedmol.fl.uploads.Reception.keep",
        "fedmol.fl.strategies.fedavg.FedAvg.step",
        "fedmol.fl.strategies.fedadam.FedAdam.step",
        "fedmol.fl.strategies.scaffold.Scaffold.step",
        "fedmol.fl.checkpoints.Checkpoints.save",
        "fedmol.telemetry.log.EventLog.write",
        "fedmol.fl.uploads.UploadStore.keep_from",
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_every_commit_point(
    undisturbed: Federation, federation: Build, monkeypatch: pytest.MonkeyPatch, place: str, when: str
) -> None:
    """The n-th call of `place` is the last thing the process does, for n = 1, 2, ... until a run has no n-th call."""
    owner = _find(place.rpartition(".")[0])
    name, nth, killed = place.rpartition(".")[2], 0, True
    while killed:
        one, killed, nth = federation(strategy=undisturbed.terms.strategy), False, nth + 1
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, _killing(getattr(owner, name), nth, when))
            try:
                one.play(ROUNDS)
            except Killed:
                killed = True
        one.restart()
        one.play(ROUNDS)
        assert one.content == undisturbed.content, nth
        assert [event.round for event in one.said(RoundFinished)] == list(range(1, ROUNDS + 1)), nth
        shutil.rmtree(one.work)


@pytest.mark.parametrize("place", ["EventLog.write", "EventLog.sync"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_sites_are_told_of_the_log_is_on_the_disk_and_stays(
    federation: Build, monkeypatch: pytest.MonkeyPatch, place: str, when: str
) -> None:
    """Over a kill at every call a round is always told with the same line, which is not lost any more."""
    synced, sync = 0, EventLog.sync

    def note(log: EventLog) -> None:
        nonlocal synced
        lines = len(log.path.read_bytes().splitlines())
        sync(log)
        synced = lines

    monkeypatch.setattr(EventLog, "sync", note)
    nth, killed = 0, True
    while killed:
        one, told, killed, nth = federation(rounds=2), dict[int, LogPosition](), False, nth + 1
        with monkeypatch.context() as patch:
            name = place.rpartition(".")[2]
            patch.setattr(EventLog, name, _killing(getattr(EventLog, name), nth, when))
            try:
                one.play(1)
                _tell(one, told, synced)
                one.play(2)
            except Killed:
                killed = True
        synced = 0  # whatever was not synced may be lost with the power
        one.restart()
        _tell(one, told, synced)
        one.play(2)
        _tell(one, told, synced)
        lines = one.events.path.read_bytes().splitlines()
        assert 2 in told
        for round, position in told.items():
            assert digest(lines[position.seq]) == position.head
            event = parse(lines[position.seq])
            assert (event.kind, event.round) == (RoundFinished.kind, round)
        shutil.rmtree(one.work)


def _tell(one: Federation, told: dict[int, LogPosition], synced: int) -> None:
    closing, round = one.engine.opening("a").closing, one.engine.round - 1
    if closing is None:
        assert round == 0
        return
    assert told.setdefault(round, closing) == closing
    assert closing.seq < synced


def _find(path: str) -> Any:
    import importlib

    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _killing(real: Callable[..., Any], nth: int, when: str) -> Callable[..., Any]:
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            raise Killed
        result = real(*arguments, **named)
        if calls == nth:
            raise Killed
        return result

    return call


def test_a_damaged_or_missing_newest_round_is_made_again(undisturbed: Federation, federation: Build) -> None:
    for damage in (_flip, Path.unlink):
        one = federation(strategy=undisturbed.terms.strategy)
        one.play(3)
        path, before = _newest(one), _newest(one).read_bytes()
        damage(path)
        one.restart()
        assert [event.round for event in one.said(StateRebuilt)] == [3]
        assert path.read_bytes() == before
        one.play(ROUNDS)
        assert one.content == undisturbed.content


def _lose_uploads(one: Federation) -> None:
    shutil.rmtree(one.work / "uploads")


def _damage_an_upload(one: Federation) -> None:
    _flip(next(one.work.glob("uploads/round-0003/*.safetensors")))


def _damage_the_round_before(one: Federation) -> None:
    _flip(one.engine.checkpoints.path(2))


@pytest.mark.parametrize("also", [_lose_uploads, _damage_an_upload, _damage_the_round_before])
def test_what_cannot_be_made_again_is_refused_by_name(federation: Build, also: Callable[[Federation], None]) -> None:
    one = federation()
    one.play(3)
    _flip(_newest(one))
    also(one)
    with pytest.raises(FedmolError, match=r"round-0003\.safetensors") as caught:
        one.restart()
    assert caught.value.exit is Exit.STATE_UNUSABLE
    assert [event.round for event in one.said(RoundFinished)] == [1, 2, 3]


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_run_never_starts_again_by_itself(federation: Build, rounds: int) -> None:
    one = federation()
    one.play(rounds)
    shutil.rmtree(one.work / "rounds")
    shutil.rmtree(one.work / "uploads")
    with pytest.raises(FedmolError, match=rf"round-000{rounds}\.safetensors") as caught:
        one.restart()
    assert caught.value.exit is Exit.STATE_UNUSABLE


def test_another_run_s_round_is_not_taken(federation: Build) -> None:
    one, other = federation(), federation({"a": 1, "b": 1, "c": 1})
    one.play(3)
    other.play(3)
    shutil.rmtree(one.work / "uploads")
    shutil.copy(_newest(other), _newest(one))
    with pytest.raises(FedmolError, match="another model than the event log names"):
        one.restart()


def test_a_log_cut_short_is_noticed(federation: Build) -> None:
    one = federation()
    one.play(3)
    lines = one.events.path.read_bytes().splitlines(keepends=True)
    one.events.path.write_bytes(b"".join(lines[:2]))
    with pytest.raises(FedmolError, match="the log does not know"):
        one.restart()


def test_a_damaged_upload_of_the_open_round_is_asked_for_again(undisturbed: Federation, federation: Build) -> None:
    one = federation(strategy=undisturbed.terms.strategy)
    one.play(2)
    for site in "abc":
        one.report(site, 3)
    damaged = sorted(one.work.glob("uploads/round-0003/*.safetensors"))[1]
    _flip(damaged)
    assert not one.engine.tick()
    (event,) = one.said(StateDamaged)
    assert event.body.file == str(damaged)
    round, left = one.engine.tasks(event.site)
    assert (round, [task.name for task in left]) == (3, ["train"])
    one.play(ROUNDS)
    assert one.content == undisturbed.content


def test_a_damaged_record_of_an_upload_is_asked_for_again(undisturbed: Federation, federation: Build) -> None:
    one = federation(strategy=undisturbed.terms.strategy)
    one.report("a", 1)
    _flip(one.work / "uploads" / "round-0001" / "a.train.json", 0.5)
    one.restart()
    assert [task.name for task in one.engine.tasks("a")[1]] == ["train"]
    assert len(one.said(StateDamaged)) == 1
    one.play(ROUNDS)
    assert one.content == undisturbed.content


def test_a_link_in_the_place_of_an_unready_record_is_not_written_through(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("of somebody else")
    store = UploadStore(tmp_path / "uploads", Payload(()))
    upload = store.receive("north", 1, VALIDATE, {})
    upload.metric(NEGATIVE_NLL, -80.0)
    upload.metric(SECONDS, 1.0)
    (store.folder / "round-0001" / f"north.{VALIDATE.name}.partial").symlink_to(other)
    with pytest.raises(OSError, match="symbolic link, which is not followed here"):
        upload.keep(upload.finish())
    assert other.read_text() == "of somebody else"
    assert store.records(1) == ([], [])
