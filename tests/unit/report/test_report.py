from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.evaluation.smiles import Contents
from fedmol.report.evaluation_page import write_evaluation
from fedmol.report.pages import write_report
from fedmol.report.run_record import read_record
from fedmol.telemetry.events.run_events import RunStarted, RunStopped
from fedmol.telemetry.log import EventLog
from tests.support.raw_log import append

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Collects text by section, every tag with its attributes, and what does not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.astray: list[str] = []
        self.sections: dict[str, str] = {}
        self._section = "top"
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs)["id"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.astray.append(tag)

    def handle_data(self, data: str) -> None:
        said = self.sections.get(self._section, "")
        self.sections[self._section] = f"{said} {data.strip()}" if data.strip() else said

    def said(self, section: str) -> str:
        return re.sub(r"\s+", " ", self.sections[section])


def page(folder: Any) -> Page:
    path = write_report(folder.path)
    assert path == folder.path / "report.html"
    return Page(path.read_text(encoding="utf-8"))


SECTIONS = [
    "results",
    "molecules",
    "central",
    "training",
    "weights",
    "left",
    "cards",
    "resemblance",
    "distributions",
    "incidents",
    "again",
]


def test_it_has_all_parts_and_nests(finished: Any) -> None:
    report = page(finished)
    assert report.astray == []
    assert report.open == []
    assert [attrs["id"] for tag, attrs in report.tags if tag == "section"] == SECTIONS
    links = {attrs["href"] for tag, attrs in report.tags if tag == "a"}
    assert links == {f"#{name}" for name in SECTIONS}


def test_nothing_is_fetched_and_nothing_runs(finished: Any) -> None:
    report = page(finished)
    for tag, attrs in report.tags:
        assert tag not in {"script", "link", "iframe", "img", "object", "embed", "base", "form"}
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert (attrs.get(name) or "#").startswith("#")
    html = (finished.path / "report.html").read_text(encoding="utf-8")
    assert "@import" not in html
    assert not re.search(r"url\s*\(", html)


def test_hostile_text_is_only_ever_text(finished: Any) -> None:
    report = page(finished)
    for section in ("molecules", "cards", "incidents"):
        assert '<script src="https://evil.example/x.js">alert(1)</script>' in report.said(section)
    assert "<script" not in (finished.path / "report.html").read_text(encoding="utf-8")


def test_the_head_names_who_was_missing(finished: Any) -> None:
    top = page(finished).said("top")
    assert "harbour-7" in top
    assert "Ended with the quorum" in top
    assert "west was missing from round 2" in top
    assert "At the end, west was missing" in top
    assert "2 of 2 rounds finished" in top
    assert "12,345 parameters" in top


def test_headline_figures_carry_counts_and_intervals(finished: Any) -> None:
    results = page(finished).said("results")
    assert "80.50" in results
    assert "± 0.78 nats per molecule" in results
    assert "90.0 %" in results
    assert "180 of 200 samples" in results
    assert "85.1\u201393.4 %" in results  # Wilson of 180 in 200
    assert "26.83" in results  # the sampler's own bound


def test_weights_are_those_of_the_log(finished: Any) -> None:
    weights = page(finished).said("weights")
    assert "north 600 60.00" in weights
    assert "0.6000\u20130.6667" in weights
    assert "west 100 10.00 % 0.1000 3.500 1 of 2 round 2" in weights


def test_what_left_each_site(finished: Any) -> None:
    left = page(finished).said("left")
    assert left.count("model 12,345 49,380 2 times 98.76 kB 98.76 kB") == 3
    assert "7 counts over all of them" in left


def test_data_cards(finished: Any) -> None:
    cards = page(finished).said("cards")
    assert cards.count("not a SMILES 1 5") == 3
    assert "Rows read 12 Kept 8 Duplicates 1 Rejected 3 Scaffolds 2" in cards
    assert "no ring 6" in cards


def test_the_baseline_beside_the_published_figures(finished: Any) -> None:
    central = page(finished).said("central")
    assert "80.50 78.00 +2.50 0.00 +3.21 % beyond noise 70.58 3.11 %" in central
    assert "90.00 % 92.00 % \u22122.00 pt" in central
    assert "not measured yet" in central
    assert "cannot be compared" in central  # the data are not QM9


def test_only_all_of_qm9_is_compared(folder: Any) -> None:
    folder.settings(data={"source": "qm9"}).evaluated(baseline=True)
    assert "cannot be compared" not in page(folder).said("central")
    folder.settings(data={"source": "qm9", "limit": 500})
    assert "limited to 500 molecules" in page(folder).said("central")


def test_molecules_are_drawn_and_novel_ones_marked(finished: Any) -> None:
    report = page(finished)
    html = (finished.path / "report.html").read_text(encoding="utf-8")
    grid = html[html.index('<ul class="molecules">') :]
    grid = grid[: grid.index("</ul>")]
    assert grid.count("<svg") == 2  # the third cannot be drawn, and is shown as text
    said = report.said("molecules")
    assert "CCO in training set" in said
    assert "CC1CO1 novel" in said


def test_resemblance_stands_beside_that_of_real_molecules(finished: Any) -> None:
    said = page(finished).said("resemblance")
    assert "KL score 0.9123 0.9877" in said
    assert "Scaf \u2013 \u2013" in said
    assert "9 / 178 5.06" in said
    assert "FCD is left out" in said


def test_the_page_of_a_file(finished: Any, tmp_path: Path) -> None:
    contents = Contents(7, 2, (3, 5), 1, 1, 1, 2, 0)
    evaluation = read_record(finished.path).evaluation
    assert evaluation is not None
    write_evaluation(tmp_path / "page.html", replace(evaluation, contents=contents), "<b>theirs.smi")
    report = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not report.astray
    names = [attrs["id"] for tag, attrs in report.tags if tag == "section"]
    assert names == ["contents", "results", "molecules", "resemblance", "distributions"]
    assert "<b>theirs.smi" in report.said("top")
    assert "Not valid 2 lines 3, 5" in report.said("contents")
    assert "that the file holds" in report.said("molecules")


def test_incidents_are_told_once(finished: Any) -> None:
    incidents = page(finished).said("incidents")
    assert incidents.count("Peer refused") == 1
    assert "first of 2" in incidents
    assert "Site lost west" in incidents
    assert "silent for 1 min 01 s" in incidents


def test_a_run_that_is_going_on(going_on: Any) -> None:
    report = page(going_on)
    assert "Not finished 1 of 2 rounds finished." in report.said("top")
    assert "has not been evaluated yet" in report.said("results")
    assert "Nothing to compare" in report.said("central")
    assert "as received by the aggregator 1 time 49.38" in report.said("left")
    assert report.said("cards").count("not in this folder") == 3
    assert report.astray == []


def test_without_a_baseline(folder: Any) -> None:
    folder.settings().evaluated()
    central = page(folder).said("central")
    assert "No centralised baseline" in central
    assert "80.50 70.58" in central


def test_only_settings(folder: Any) -> None:
    report = page(folder.settings())
    assert "Not started" in report.said("top")
    assert "No round has finished yet" in report.said("training")
    assert report.astray == []


def test_a_run_that_was_stopped(going_on: Any) -> None:
    def stopped(log: EventLog) -> None:
        log.write(RunStopped(reason="quorum-lost", detail="only 1 of 3 sites"))

    assert "Then the aggregator stopped: only 1 of 3 sites." in page(going_on.log(stopped)).said("top")

    def again(log: EventLog) -> None:
        log.write(RunStarted(sites=[], rounds=2, quorum=1, parameters=1, model_bytes=1))

    resumed = page(going_on.log(again))
    assert "Not finished" in resumed.said("top")
    assert "Aggregator started again" in resumed.said("incidents")


def test_a_finished_run_that_is_served_again_is_still_finished(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = page(finished).said("top")
    monkeypatch.setattr("fedmol.telemetry.log.stamp", lambda: "2099-01-01T00:00:00.000+00:00")

    def again(log: EventLog) -> None:
        log.write(RunStarted(sites=[], quorum=3, rounds=2, parameters=12345, model_bytes=49380))
        log.write(RunStopped(reason="terminated", detail="asked to stop"))

    assert page(finished.log(again)).said("top") == before


def test_events_with_unknown_and_missing_fields(going_on: Any) -> None:
    log = going_on.path / "aggregator" / "events.jsonl"
    append(log, "round_finished", round=2)
    append(log, "something_new", round=2, value=1)
    append(log, "update_refused", site="north", round=2, reason="because", of_tomorrow=1)
    report = page(going_on)
    assert "1 of 2 rounds finished" in report.said("top")
    assert "Update refused north" in report.said("incidents")
    assert re.search(r"Damaged log.*line \d+: round_finished: sites: Field required", report.said("incidents"))


def test_a_line_still_being_written_is_left_out(going_on: Any) -> None:
    with (going_on.path / "aggregator" / "events.jsonl").open("a") as log:
        log.write('{"seq": 99, "ti')
    assert "1 of 2 rounds" in page(going_on).said("top")


def test_the_way_to_repeat_it(finished: Any) -> None:
    again = page(finished).said("again")
    assert "may end with another model" in again  # a site was missing
    assert f"fedmol run --settings {finished.path}{os.sep}settings.yaml --baseline" in again
    assert "ab" * 32 in again
    assert "learning_rate: " in again


def test_steps_that_were_fitted_to_a_time_are_repeated_as_steps(going_on: Any) -> None:
    going_on.settings(training={"rounds": 2, "budget_minutes": 5})
    assert "--set training.budget_minutes=null --set training.local_steps=60" in page(going_on).said("again")


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FedmolError) as refused:
            write_report(folder)
        assert refused.value.exit is Exit.USAGE


@pytest.mark.parametrize(
    ("name", "content", "exit"),
    [
        ("aggregator/events.jsonl", "not json\n", Exit.STATE_UNUSABLE),
        ("aggregator/events.jsonl", "[1, 2]\n", Exit.STATE_UNUSABLE),
        ("evaluation.json", "{}", Exit.BAD_DATA),
        ("sites/north/card.json", "{}", Exit.BAD_DATA),
        ("baseline/losses.csv", "a,b\n1,2\n", Exit.STATE_UNUSABLE),
        ("settings.yaml", "sites: 3\n", Exit.BAD_SETTINGS),
    ],
)
def test_a_damaged_file_is_named(finished: Any, name: str, content: str, exit: Exit) -> None:
    (finished.path / name).write_text(content)
    with pytest.raises(FedmolError) as refused:
        write_report(finished.path)
    assert refused.value.exit is exit


def test_where_the_sites_brought_their_molecules_no_source_is_named(finished: Any) -> None:
    assert "embedded, iid split" in page(finished).said("top")
    assert "To repeat this run" in page(finished).said("again")
    shutil.rmtree(finished.path / "sites")
    assert "embedded, iid split" not in page(finished).said("top")
    assert "instead of the sites" in page(finished).said("again")
