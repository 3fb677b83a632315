from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from fedmol.evaluation.quality import Quality
from fedmol.run_folder import RunFolder
from fedmol.sidecar.live_page import Page, settled, thinned
from fedmol.sidecar.log_watch import Watch
from fedmol.sidecar.molecules import newest, picture
from fedmol.sidecar.timeline import timeline
from fedmol.telemetry.events.site_events import SiteLost, SiteRefused
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.state import LATE_AFTER, Round, Run, Span
from tests.support.story import Story, evaluation, watching


def _page(folder: Path, later: float = 0.0) -> str:
    return Page(watching(folder, later)).html()


@pytest.fixture
def full(story: Story) -> str:
    story.start().gather().play(1).play(2).train("north", 3)
    story.log.write(SiteRefused(reason="certificate-name", detail="<script>alert(1)</script>"), site="<b>mallory")
    (story.folder / "evaluation.json").write_text(json.dumps(evaluation()))
    return _page(story.folder)


def test_the_page_fetches_nothing_from_outside_and_carries_nothing_inline(full: str) -> None:
    assert not re.search(r"https?://(?!www\.w3\.org)", full)
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=", full)
    assert re.findall(r"<script[^>]*>", full) == ['<script src="page.js" defer>']


def test_what_others_wrote_is_shown_as_text(full: str) -> None:
    assert "<script>alert" not in full
    assert "&lt;script&gt;alert" in full
    assert "<b>mallory" not in full


def test_the_page_shows_sites_timeline_curves_and_molecules(full: str) -> None:
    assert re.search(r"training 3/4", full)
    assert all(f'class="{phase}"' in full for phase in ("download", "validate", "train", "upload", "idle"))
    assert full.count('class="chart"') == 2
    assert "90.0" in full
    assert full.count("<code>") == 2


def test_a_site_s_page_shows_what_left_it(site_log: EventLog) -> None:
    page = _page(site_log.path.parent)
    assert "What left this site" in page
    assert "<code>model</code>" in page
    assert "Newest molecules" not in page


def test_what_is_not_there_yet_is_said(story: Story) -> None:
    story.start()
    page = _page(story.folder)
    for said in ("None yet", "No round has finished", "has not connected yet", "no site was refused"):
        assert said in page


def test_a_dead_federation_is_not_shown_as_running(story: Story) -> None:
    story.start().gather().train("north", 1)
    page = _page(story.folder, later=60)
    assert "<strong>Silent</strong>" in page
    assert "last seen training" in page


def test_while_an_old_log_is_being_read_nobody_is_called_silent(story: Story) -> None:
    story.start().gather()
    for _ in range(1000):
        story.train("north", 1)
    watch = Watch(story.folder)
    watch.look()
    watch.clock = lambda: (watch.run.last_event or 0.0) + 3600
    assert not watch.reader.caught_up
    page = Page(watch).html()
    assert "Not up to date" in page
    assert "<strong>Running</strong>" in page
    assert "silent for" not in page
    watch.catch_up()
    assert "<strong>Silent</strong>" in Page(watch).html()


def test_the_bar_of_a_silent_site_ends_where_it_was_last_heard_of(story: Story) -> None:
    story.start().gather().train("north", 1)
    run = watching(story.folder).run
    began = run.rounds[1].began
    run.rounds[1].enter("north", "train", began)
    run.sites["north"].seen = run.last_event = began + 8
    widths = {}
    for later in (1, 13):
        drawn = timeline(run, began + 8 + later)
        assert drawn is not None
        widths[later] = float(re.findall(r'class="train".*? width="([\d.]+)%"', drawn.rows[0].bar)[-1])
    assert widths[1] == pytest.approx(100, abs=1)
    assert widths[13] == pytest.approx(100 * 8 / 21, abs=1)


def test_of_many_sites_those_in_trouble_come_first(tmp_path: Path) -> None:
    names = [f"site-{number:02d}" for number in range(20)]
    story = Story(tmp_path, names).start().gather()
    for name in names:
        story.train(name, 1)
    story.log.write(SiteLost(silent_seconds=60), site="site-15")
    watch = watching(tmp_path)
    watch.run.sites["site-03"].seen = watch.clock() - LATE_AFTER - 1
    page = Page(watch).html()
    assert 'class="sites many"' in page
    assert re.findall(r"<h3>(site-\d+)</h3>", page)[:2] == ["site-15", "site-03"]


def _preview(folder: Path, round: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "preview.json").write_text(json.dumps({"round": round, **evaluation()}))


def test_during_a_run_the_molecules_are_those_of_a_round(story: Story, tmp_path: Path) -> None:
    story.start().gather().play(1)
    _preview(tmp_path / "results", 1)
    watch = watching(story.folder, results=tmp_path / "results")
    assert watch.molecules.round == 1
    page = Page(watch).html()
    assert re.search(r"Molecules of round 1\b", page)
    assert page.count("<code>") == 2
    assert "25.0\N{NARROW NO-BREAK SPACE}% of those novel" in page


def test_a_later_round_s_molecules_take_the_place_of_earlier_ones(story: Story) -> None:
    watch = watching(story.start().folder)
    for round in (1, 2):
        _preview(story.folder, round)
        os.utime(story.folder / "preview.json", (round, round))
        watch.look()
        assert (watch.molecules.round, watch.molecules.measured) == (round, round)


def test_the_final_evaluation_comes_before_a_preview(story: Story) -> None:
    _preview(story.start().folder, 3)
    (story.folder / "evaluation.json").write_text(json.dumps(evaluation()))
    watch = watching(story.folder)
    assert watch.molecules.round is None
    assert "Molecules of the final model" in Page(watch).html()


def test_molecules_are_drawn_before_anyone_asks_for_them(story: Story) -> None:
    picture.cache_clear()
    _preview(story.start().folder, 1)
    watch = watching(story.folder)
    drawn = picture.cache_info().misses
    Page(watch).html()
    assert drawn == len(watch.molecules.molecules)
    assert picture.cache_info().misses == drawn


def test_a_name_in_the_timeline_is_text(tmp_path: Path) -> None:
    story = Story(tmp_path, ["<b>north"]).start().gather().play(1)
    assert "<b>north" not in _page(story.folder)


def test_the_numbers_of_very_short_rounds_do_not_cover_each_other() -> None:
    rounds = {number: Round(number, 100.0 + number, 101.0 + number) for number in (1, 2, 3)}
    rounds[4] = Round(4, 104.0)
    for one in rounds.values():
        one.spans = {"north": [Span("train", one.began, one.ended)]}
    drawn = timeline(Run(role="aggregator", round=4, rounds=rounds), 204.0)
    assert drawn is not None
    assert re.findall(r">(\d)</text>", drawn.header) == ["1"]


def test_a_damaged_evaluation_is_said_and_hides_nothing_else(story: Story) -> None:
    story.start()
    (story.folder / "evaluation.json").write_text("{")
    assert "evaluation.json cannot be used: it is not an evaluation" in _page(story.folder)


def test_an_evaluation_is_read_by_the_names_that_it_is_written_with() -> None:
    quality = evaluation()["quality"]
    assert isinstance(quality, dict)
    assert set(quality) <= set(Quality.__dataclass_fields__)


def test_pictures_have_attributes_where_rdkit_has_styles() -> None:
    drawn = picture("CCO")
    assert drawn is not None
    assert "style=" not in drawn
    assert 'stroke="#000000"' in drawn
    assert picture("no molecule") is None


def test_a_new_evaluation_is_noticed(story: Story) -> None:
    assert newest(RunFolder(story.folder)).measured is None
    (story.folder / "evaluation.json").write_text(json.dumps(evaluation()))
    assert newest(RunFolder(story.folder)).samples == 10


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 500])
def test_long_curves_are_thinned_and_keep_their_end(count: int) -> None:
    rounds = [Round(number, 0.0) for number in range(1, count + 1)]
    kept = thinned(settled(rounds))
    assert len(kept) <= 100
    assert kept[-1:] == rounds[-1:]
