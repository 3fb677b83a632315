"""State that is damaged or gone: the same model as without, or a refusal that names the file (rows R3, R4)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedmol.errors import Exit
from fedmol.telemetry.events.run_events import RunFinished, StateDamaged, StateRebuilt
from tests.support.light import Light, light_settings
from tests.support.stage import AGGREGATOR, RUN

Damage = Callable[[Path], Path]  # of a working folder; the file that has to be named
ROUNDS = 3


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Light]:
    """A federation whose aggregator was killed in round 4, for which one site had reported."""
    one = Light(light_settings("east", "model", "west"), tmp_path_factory.mktemp("halted") / "run")
    one.open()
    for _ in range(ROUNDS):
        one.play()
    one.report("east")
    one.kill()
    yield one
    one.shut()


@pytest.fixture
def again(halted: Light, tmp_path: Path) -> Iterator[Light]:
    """The same federation, whose folder is put back when the test ends."""
    copy, model, round = tmp_path / "copy", halted.model, halted.round
    shutil.copytree(halted.work, copy)
    yield halted
    if halted.serving():
        halted.kill()
    shutil.rmtree(halted.work)
    shutil.copytree(copy, halted.work)
    halted.model, halted.round = model, round


def flip(path: Path, place: float = 0.7) -> Path:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def delete(path: Path) -> Path:
    path.unlink()
    return path


def _round(number: int) -> Callable[[Path], Path]:
    return lambda work: work / "rounds" / f"round-{number:04d}.safetensors"


def _all_rounds(work: Path) -> Path:
    for path in (work / "rounds").iterdir():
        path.unlink()
    return _round(ROUNDS)(work)


def _everything(work: Path) -> Path:
    _all_rounds(work)
    shutil.rmtree(work / "uploads")
    delete(work / "agreement.json")
    return _round(ROUNDS)(work)


def _last_two(work: Path) -> Path:
    flip(_round(ROUNDS - 1)(work))
    return flip(_round(ROUNDS)(work))


def _last_and_one_of_its_uploads(work: Path) -> Path:
    flip(min((work / "uploads" / f"round-{ROUNDS:04d}").glob("*.safetensors")))
    return delete(_round(ROUNDS)(work))


def _an_older_one_in_the_last_one_s_place(work: Path) -> Path:
    path = _round(ROUNDS)(work)
    shutil.copyfile(_round(ROUNDS - 1)(work), path)
    return path


def _all_but_the_uploads(work: Path) -> Path:
    _all_rounds(work)
    for name in ("agreement.json", "events.jsonl"):
        delete(work / name)
    return min((work / "uploads").glob("round-*"))


def _a_folder_for(place: Callable[[Path], Path]) -> Damage:
    def exchange(work: Path) -> Path:
        path = delete(place(work))
        (path / "something").mkdir(parents=True)
        return path

    return exchange


def _a_file_for_the_uploads(work: Path) -> Path:
    shutil.rmtree(work / "uploads")
    return empty(work / "uploads")


def _another_line(work: Path) -> Path:
    log = work / "events.jsonl"
    text = log.read_text()
    assert '"molecules": 100' in text
    log.write_text(text.replace('"molecules": 100', '"molecules": 900', 1))
    return log


def _another_agreement(work: Path) -> Path:
    path = work / "agreement.json"
    text = path.read_text()
    assert '"east": 100' in text
    path.write_text(text.replace('"east": 100', '"east": 900'))
    return path


REBUILT: dict[str, Damage] = {
    "a-bit-of-the-last-model": lambda work: flip(_round(ROUNDS)(work)),
    "a-bit-of-the-last-model-s-header": lambda work: flip(_round(ROUNDS)(work), 1e-4),
    "the-last-model-gone": lambda work: delete(_round(ROUNDS)(work)),
    "the-last-model-an-older-one": _an_older_one_in_the_last_one_s_place,
    "the-agreement-gone": lambda work: delete(work / "agreement.json"),
}

REFUSED: dict[str, Damage] = {
    "all-models-gone": _all_rounds,
    "everything-but-the-log-gone": _everything,
    "a-bit-of-the-last-two-models": _last_two,
    "the-last-model-and-one-of-its-uploads": _last_and_one_of_its_uploads,
    "the-log-gone": lambda work: delete(work / "events.jsonl"),
    "a-line-of-the-log": _another_line,
    "another-agreement": _another_agreement,
    "everything-but-the-uploads-gone": _all_but_the_uploads,
    "a-folder-for-the-last-model": _a_folder_for(_round(ROUNDS)),
    "a-folder-for-the-agreement": _a_folder_for(lambda work: work / "agreement.json"),
    "a-folder-for-the-log": _a_folder_for(lambda work: work / "events.jsonl"),
    "a-file-for-the-uploads": _a_file_for_the_uploads,
}


@pytest.mark.parametrize("case", REBUILT)
def test_what_can_be_made_again_is_and_the_run_goes_on(again: Light, case: str) -> None:
    damaged = REBUILT[case](again.work)
    again.stage.start(AGGREGATOR)
    again.connect()
    assert [event.body.file for event in again.stage.events(StateDamaged)] == [str(damaged)]
    assert [event.body.file for event in again.stage.events(StateRebuilt)] == [str(damaged)]
    assert again.stage.checkpoint(ROUNDS).tobytes() == again.model.tobytes()
    assert again.members["east"].tasks() == (again.round, [], False)  # what it had sent is still there
    again.report("model", "west")
    again.close(again.sites)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_is_refused_by_name_and_nothing_begins_anew(again: Light, case: str) -> None:
    damaged = REFUSED[case](again.work)
    before = _content(again.stage.events_path())
    again.stage.start(AGGREGATOR)
    assert again.stage.wait(AGGREGATOR) == Exit.STATE_UNUSABLE, again.stage.log(AGGREGATOR)
    assert damaged.name in again.stage.parties[AGGREGATOR].last_words()
    assert b"round_started" not in _content(again.stage.events_path()).removeprefix(before)
    assert not (again.work / "model.safetensors").exists()


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_another_run_does_not_take_up_the_folder(again: Light) -> None:
    before = {path: path.read_bytes() for path in again.work.rglob("*") if path.is_file()}
    party = again.stage.parties[AGGREGATOR]
    other = list(party.command)
    other[other.index("--run") + 1] = "another"
    again.stage.parties[AGGREGATOR] = replace(party, command=other)
    again.stage.start(AGGREGATOR)
    assert again.stage.wait(AGGREGATOR) == Exit.STATE_UNUSABLE, again.stage.log(AGGREGATOR)
    assert f"run '{RUN}'" in again.stage.parties[AGGREGATOR].last_words()
    again.stage.parties[AGGREGATOR] = party
    after = {path: path.read_bytes() for path in again.work.rglob("*") if path.is_file()}
    may_change = {again.stage.events_path(), again.work / "lock"}
    assert {path for path in before if before[path] != after.get(path)} <= may_change


def test_what_a_killed_writer_left_behind_is_removed(again: Light) -> None:
    left = [again.work / ".model.safetensors.a1b2c3d4", again.work / "rounds" / ".round-0004.safetensors.k_9xyz12"]
    for path in left:
        path.write_bytes(bytes(1000))
    again.stage.start(AGGREGATOR)
    again.connect()
    assert not any(path.exists() for path in left)
    again.report("model", "west")
    again.close(again.sites)


@pytest.mark.parametrize("damage", [flip, empty, delete, lambda path: shutil.copyfile(path.with_name("other"), path)])
def test_a_final_model_that_is_damaged_is_made_again(tmp_path: Path, damage: Callable[[Path], Path]) -> None:
    one = Light(light_settings("east", "west", length=2), tmp_path / "run")
    try:
        one.open()
        one.play()
        one.play()
        one.finish()
        path = one.work / "model.safetensors"
        whole = path.read_bytes()
        shutil.copyfile(one.work / "rounds" / "round-0001.safetensors", path.with_name("other"))
        damage(path)
        one.stage.start(AGGREGATOR)
        assert one.stage.wait(AGGREGATOR) == 0, one.stage.log(AGGREGATOR)
        assert path.read_bytes() == whole
        assert len(one.stage.events(RunFinished)) == 1
        told = [event.body.file for event in one.stage.events(StateDamaged)]
        assert told == [str(path)] * (damage is not delete)
    finally:
        one.shut()


@pytest.mark.parametrize(
    ("what", "damage"), [("update", flip), ("update", delete), ("record", flip), ("record", empty)]
)
def test_a_damaged_upload_of_the_open_round_is_asked_for_again(
    again: Light, what: str, damage: Callable[[Path], Path]
) -> None:
    folder = again.work / "uploads" / f"round-{again.round:04d}"
    (path,) = folder.glob("*.safetensors") if what == "update" else folder.glob("east.train.json")
    damage(path)
    again.stage.start(AGGREGATOR)
    again.connect()
    again.report("model", "west")
    again.stage.wait_for(StateDamaged, lambda event: event.body.file == str(path))
    assert again.members["east"].tasks() == (again.round, ["train"], False)
    again.train("east")
    again.close(again.sites)
