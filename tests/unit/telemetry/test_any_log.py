"""Whatever a log holds: nothing raises, everything keeps within bounds, and all who show it say the same."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from fedmol.fl.federation import dump, parse
from fedmol.local.display import Display
from fedmol.report.metrics_csv import metrics
from fedmol.report.pages import render
from fedmol.report.run_record import read_record
from fedmol.report.summary import outcome
from fedmol.sidecar import views
from fedmol.sidecar.live_page import Page
from fedmol.sidecar.log_watch import Watch
from fedmol.sidecar.prometheus import RunCollector
from fedmol.telemetry.events import KINDS
from fedmol.telemetry.log import FIRST, digest
from fedmol.telemetry.state import Run
from fedmol.telemetry.verdict import site_state
from fedmol_aggregator.evaluator.watched_run import Run as WatchedRun

_SITES = ("north", "south", "<b>west", "[/x]")
_ODD: list[Any] = [
    *(None, True, -1, 0, 1, 2**53, 2**53 + 1, 10**30, 10**400, -(10**400), 1.5, 1e300, -1e300, 1e308, 5e-324),
    *("", "x", "north", "x" * 5000, "\x1b[2J", "\ud800", "[/x]"),
    *([], {}, [[]], [1], ["north"], ["north"] * 2000, {"north": 1}, {"north": None}, {"north": 1e300}),
    *({"x": {"y": {"z": []}}}, [{}], [{"name": "model", "shape": [1], "bytes": 4}]),
]
_RIGHT: dict[str, Any] = {
    **{"sites": ["north", "south"], "rounds": 3, "quorum": 1, "parameters": 1, "model_bytes": 4, "molecules": 10},
    **{"local_steps": 4, "norm": 1.5, "reason": "usage", "detail": "x", "missing": ["south"], "seconds": 2.0},
    **{"nll": 70.0, "model_digest": "ab", "silent_seconds": 60.0, "file": "f", "number": 1, "step": 2, "steps": 4},
    **{"changes": {"remove": ["south"], "add": ["east"], "rounds": 5}, "call": "Join", "holds": ["run"], "times": 3},
    "last": "2026-01-01T00:00:20+00:00",
    **{
        "tensors": [{"name": "model", "shape": [1], "bytes": 4}],
        "weights": {"north": 1.0},
        "site_loss": {"north": 2.0},
    },
    **{"site_nll": {"north": 70.0}, "manifest": {}, "census": {}, "shards": {}, "digests": {}, "outcome": "quorum"},
    **{"loss": 2.0, "site_loss": {"north": 2.0}, "bytes": 4, "counted": True, "file_digest": "ab"},
}


def _field(kind: str, name: str) -> st.SearchStrategy[Any]:
    """Mostly what is right, sometimes anything."""
    right: Any = _RIGHT.get(name)
    if kind == "agreement" and name == "molecules":
        right = {"north": 10, "south": 10}
    if kind == "agreed" and name == "census":
        right = "ab"
    usual = st.just(right) if right is not None else st.sampled_from(_ODD)
    return st.one_of(usual, usual, usual, usual, usual, usual, usual, st.sampled_from(_ODD))


@st.composite
def _event(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from([*KINDS, "of_tomorrow"]))
    fields = KINDS[kind].model_fields if kind in KINDS else {}
    chosen = [name for name, info in fields.items() if info.is_required() or draw(st.booleans())]
    phases = ("receiving model", "validating", "training", "sending", "finished", "failed", "dreaming", None)
    year, second = draw(st.sampled_from([2000, 2026, 2026, 2026, 2099])), draw(st.integers(10, 59))
    head = {
        "site": draw(st.sampled_from(_SITES)),
        "round": draw(st.sampled_from([1, 1, 2, 3, None, 10**6])),
        "phase": draw(st.sampled_from(phases)),
        "time": f"{year}-01-01T00:00:{second}+00:00",
    }
    said = {name: draw(_field(kind, name)) for name in chosen}
    return {**head, "kind": kind, **said}


def _write(path: Path, events: list[dict[str, Any]]) -> None:
    previous, lines = FIRST, []
    for number, event in enumerate(events):
        line = json.dumps({"seq": number, "run": "trial", **event, "previous": previous}).encode()
        previous = digest(line)
        lines.append(line)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("any")
    document = {"sites": [{"name": "north"}, {"name": "south"}], "training": {"rounds": 3}}
    (made / "settings.yaml").write_text(dump(parse(document, "test")))
    return made


@given(events=st.lists(_event(), max_size=40), role=st.sampled_from(["run_started", "phase"]))
@settings(max_examples=30, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_any_log_is_shown_and_everybody_says_the_same(folder: Path, events: list[dict[str, Any]], role: str) -> None:
    first = {"site": "north", "round": None, "phase": "connecting", "time": "2026-01-01T00:00:00+00:00", "kind": role}
    if role == "run_started":
        first |= {name: _RIGHT[name] for name in ("sites", "rounds", "quorum", "parameters", "model_bytes")}
    _write(folder / "events.jsonl", [first, *events])
    watch = Watch(folder)
    watch.catch_up()
    run, now = watch.run, (watch.run.last_event or 0.0) + 20
    watch.clock = lambda: now

    registry = CollectorRegistry()
    registry.register(RunCollector(watch))
    samples = [
        sample
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    ]
    found = {sample.name: sample.value for sample in samples if not sample.labels}
    states = {s.labels["site"]: s.labels["state"] for s in samples if s.name == "fedmol_site_state" and s.value == 1}
    status = views.status_view(run, watch.log_view(), [], watch.moment)
    shown = views.sites_view(run, watch.moment)
    for view in (status, shown, *(views.round_detail(one) for one in run.rounds.values())):
        json.loads(view.model_dump_json())
    html = Page(watch).html()

    assert {site.name: site.state for site in shown.sites} == states
    assert {name: site_state(site, run, now)[0] for name, site in run.sites.items()} == states
    assert (found["fedmol_round"], found["fedmol_rounds_finished"]) == (status.round, status.rounds_finished)
    assert found["fedmol_log_unreadable_lines_total"] == status.log.unreadable_lines
    assert ("The log is damaged" in html) == (status.log.unreadable_lines > 0)

    display = Display(Console(file=io.StringIO(), force_terminal=True, width=200))
    with display:
        display.show(watch.reader.__class__(folder / "events.jsonl").read())
    assert (display.run.sites, display.run.rounds, display.run.incidents) == (run.sites, run.rounds, run.incidents)
    if watch.reader.unreadable == 0:
        _the_account_says_the_same(folder, run, status)
        followed = WatchedRun(folder)
        followed.look()
        assert followed.round == max((one.number for one in run.finished_rounds), default=None)


def _the_account_says_the_same(folder: Path, run: Run, status: views.StatusView) -> None:
    """Report and metrics.csv, of the whole run, and the page, of its newest part."""
    record = read_record(folder)
    whole, html = record.run, render(record)
    assert (whole.sites, whole.rounds, whole.refusals) == (run.sites, run.rounds, run.refusals)
    assert (whole.misread, whole.misread_line) == (run.misread, run.misread_line)
    assert (whole.outcome, whole.stopped, whole.missing) == (status.outcome, run.stopped, status.missing)
    assert whole.incidents.known[-len(run.incidents.known) or len(whole.incidents.known) :] == run.incidents.known
    assert sum(one.times for one in whole.incidents.distinct()) == sum(one.times for one in whole.incidents.known)
    assert f"{len(record.rounds)} of " in html
    assert len(record.rounds) == status.rounds_finished
    going_on = "open" if run.stopped is None else "stopped"
    ended = {None: going_on, "quorum": "quorum"}.get(status.outcome, "complete")
    assert outcome(record).state == ended
    table = metrics(record)
    written = {(row.round, row.site, row.metric): row.value for row in table.itertuples()}
    for one in map(views.round_detail, run.finished_rounds):
        assert written.get((one.number, "all", "loss")) == one.loss
        assert {site: written[one.number, site, "nll"] for site in one.site_nll} == one.site_nll
    received = {(number, site) for number, one in run.rounds.items() for site in one.updates}
    assert {(number, site) for number, site, metric in written if metric == "bytes"} == received
