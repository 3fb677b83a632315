"""The account of a run whose sites and rounds were changed in its middle."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from fedmol.cli.run import overrides_of
from fedmol.fl.changes import Change
from fedmol.fl.federation import dump, load, parse
from fedmol.fl.run_manifest import manifest_of
from fedmol.report.pages import command, render
from fedmol.report.run_record import RunRecord, read_record
from fedmol.telemetry.events.round_events import RoundFinished
from fedmol.telemetry.events.run_events import Changed, RunFinished, RunStarted, SettingsChanged
from fedmol.telemetry.log import EventLog

BEGUN = ["north", "south", "east", "far"]


class Log:
    """Four sites and 14 rounds, of which the log tells what a test has it tell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = parse({"sites": [{"name": site} for site in BEGUN], "training": {"rounds": 14}}, "test")
        (folder / "settings.yaml").write_text(dump(settings))
        self.log = EventLog(folder / "events.jsonl", run="trial", site="aggregator")
        self.start(manifest_of("trial", settings))
        self.members, self.number = list(BEGUN), 0

    def start(self, manifest: dict[str, Any]) -> None:
        self.log.write(RunStarted(sites=BEGUN, quorum=4, rounds=14, parameters=1, model_bytes=4, manifest=manifest))

    def change(self, round: int, **entries: object) -> None:
        self.number += 1
        change = Change.model_validate(
            {"run": "trial", "number": self.number, "previous": "0" * 64, "round": round, **entries}
        )
        self.tell(change.round, change.says(), change.model_dump_json(exclude_defaults=True))
        self.members = [site for site in [*self.members, *sorted(change.add)] if site not in change.remove]

    def tell(self, round: int, says: dict[str, Any], document: str) -> None:
        self.log.write(
            SettingsChanged(number=self.number, changes=Changed(**says), document=document, signature="00"), round=round
        )

    def rounds(self, first: int, last: int, missing: tuple[str, ...] = ()) -> None:
        for round in range(first, last + 1):
            counted = [site for site in self.members if site not in missing]
            self.log.write(
                RoundFinished(
                    sites=counted,
                    weights={site: 1 / len(counted) for site in counted},
                    missing=list(missing),
                    loss=1.0,
                    nll=1.0,
                    model_digest="0" * 64,
                    site_loss=dict.fromkeys(counted, 1.0),
                    site_nll=dict.fromkeys(counted, 1.0),
                    seconds=1.0,
                ),
                round=round,
            )

    def end(self, rounds: int, missed: dict[str, int] | None = None) -> None:
        self.log.write(
            RunFinished(
                outcome="quorum" if missed else "complete",
                missing=[],
                missed_rounds=missed or {},
                rounds=rounds,
                model_digest="0" * 64,
            )
        )

    def record(self) -> RunRecord:
        return read_record(self.folder)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def _text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_the_report_tells_of_the_run_that_happened(log: Log) -> None:
    log.rounds(1, 2)
    log.change(3, remove=["east"])
    log.rounds(3, 5)
    log.change(6, add=["west"])
    log.rounds(6, 6, missing=("west",))
    log.change(8, rounds=18)
    log.rounds(7, 9, missing=("far",))
    log.rounds(10, 18)
    log.end(18, {"far": 3, "west": 1})
    record = log.record()
    assert [site.name for site in record.sites] == [*BEGUN, "west"]
    assert record.run.misfits == record.course.misfits == []
    page = render(record)
    text = _text(page)
    assert "5 sites, north, south, east, far and west" in text
    assert "over 18 rounds" in text
    assert "of 14" not in text
    assert "quorum 4 of 4" in text
    for said in (
        "far was missing from round 7",
        "west was missing from round 6",
        "east was removed from round 3 on",
        "west was added from round 6 on",
        "This repeats the run as it started. Its settings were changed 3 times",
    ):
        assert said in text
    assert re.search(r"east .*removed from round 3 on .* 2 of 18 none", text)
    assert re.search(r"west .*added from round 6 on .* 12 of 18 round 6", text)
    assert page.count(">west</") >= 2  # the legends of the curves


def test_the_rounds_that_a_site_was_not_in_the_run_for_are_told_when_it_comes_back(log: Log) -> None:
    log.rounds(1, 2)
    log.change(3, remove=["east"])
    log.rounds(3, 4)
    log.change(5, add=["east"])
    log.rounds(5, 14)
    log.end(14)
    assert log.record().course.moves("east") == ["removed from round 3 on", "added from round 5 on"]
    text = _text(render(log.record()))
    assert "took part in every round" not in text
    assert "east was removed from round 3 on and added from round 5 on" in text
    assert re.search(r"east [^.]*removed from round 3 on and added from round 5 on .* 12 of 14 none", text)


def test_what_a_later_change_of_the_same_round_takes_back_has_not_moved_anybody(log: Log) -> None:
    log.change(3, remove=["east"])
    log.change(3, add=["east"])
    log.change(5, quorum=1)
    assert log.record().course.moves("east") == []


def test_the_folder_may_have_the_settings_of_now(log: Log) -> None:
    """An aggregator that starts again with them, which it may, writes them there."""
    log.rounds(1, 2)
    log.change(3, remove=["east"], rounds=18, quorum=2, deadline=90.0)
    log.rounds(3, 5)
    begun = log.record()
    (log.folder / "settings.yaml").write_text(dump(begun.course.latest))
    log.change(6, add=["west"])
    log.rounds(6, 18)
    log.end(18)
    record = log.record()
    assert record.run.misfits == record.course.misfits == []
    assert record.settings == begun.settings
    assert [site.name for site in record.sites] == [*BEGUN, "west"]
    assert (record.course.latest.training.rounds, record.course.latest.quorum) == (18, 2)
    assert "east was removed from round 3 on; west was added from round 6 on" in _text(render(record))


def test_the_command_plays_the_run_as_it_began(log: Log) -> None:
    assert "--set" not in shlex.split(command(log.record()))
    log.change(3, remove=["east"], rounds=18, quorum=2)
    settings = log.record().settings
    (log.folder / "settings.yaml").write_text(dump(log.record().course.latest))
    words = shlex.split(command(log.record()))
    changes = tuple(words[place + 1] for place, word in enumerate(words) if word == "--set")
    assert load(log.folder / "settings.yaml", overrides_of(None, None, changes)) == settings


@pytest.mark.parametrize(
    "odd", [{"training.rounds": "many"}, {"training.rounds": 0}, {"rounds.quorum": [1]}, {"rounds.deadline": {}}]
)
def test_a_manifest_that_is_none_is_noted_and_left_out(tmp_path: Path, odd: dict[str, Any]) -> None:
    log = Log(tmp_path)
    (tmp_path / "events.jsonl").unlink()
    log.log = EventLog(tmp_path / "events.jsonl", run="trial", site="aggregator")
    log.start(odd)
    log.rounds(1, 2)
    record = log.record()
    assert record.course.latest == record.kept
    assert (record.run.misread, len(record.course.misfits)) == (0, 1)
    assert "2 of 14" in _text(render(record))
    assert "Damaged log" in _text(render(record))


@pytest.mark.parametrize("document", ["", "{", '{"run": 1}', "[" * 1000, '{"round": 1e999}'])
def test_a_change_that_is_none_is_noted_and_left_out(log: Log, document: str) -> None:
    log.tell(3, {"rounds": 40}, document)
    log.rounds(1, 2)
    record = log.record()
    assert record.course.latest.training.rounds == 14
    assert (record.run.misread, len(record.course.misfits)) == (0, 1)
    assert "2 of 14" in _text(render(record))
    assert "Damaged log" in _text(render(record))
