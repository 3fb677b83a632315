"""The sidecar keeps to its own HTTP interface, whatever it is asked and whatever it finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import settings
from schemathesis.checks import not_a_server_error

from fedmol.sidecar.app import create_app
from fedmol.sidecar.log_watch import Watch
from fedmol.telemetry.events.site_events import SiteRefused
from tests.support.story import Story, evaluation

ROOT = Path(__file__).parents[2]
INTERFACE = schemathesis.openapi.from_path(ROOT / "docs" / "sidecar" / "openapi.json")
STREAM = "/v1/events"
SOME = settings(max_examples=20, derandomize=True, deadline=None, database=None)

Case = schemathesis.Case[Any]


@pytest.fixture(params=["nothing", "a run at work", "a finished run"], scope="module")
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(state: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An aggregator's folder, or that of a run played on one machine."""
    path = tmp_path_factory.mktemp("run")
    if state == "a run at work":
        story = Story(path, ["north", "south"]).start().gather().play(1).play(2).train("north", 3)
        story.progress("south", 3, "training", loss=float("nan"))
        (path / "preview.json").write_text(json.dumps({"round": 2, **evaluation()}))
    if state == "a finished run":
        story = Story(path / "aggregator", ["north", "south"]).start().gather().play(1).play(2).play(3)
        story.log.write(SiteRefused(reason="unknown-run", detail='\N{SNOWMAN} "quoted"\n'), site="mallory\n")
        story.end(["south"])
        (path / "evaluation.json").write_text(json.dumps(evaluation()))
        (path / "report.html").write_text("<!doctype html><title>the account</title>")
    return path


@pytest.fixture(scope="module")
def app(folder: Path) -> FastAPI:
    watch = Watch(folder)
    watch.catch_up()
    return create_app(watch)


@pytest.fixture(scope="module")
def ending(folder: Path) -> FastAPI:
    """Is being stopped, so that a stream ends once it has sent what there is."""
    watch = Watch(folder)
    watch.catch_up()
    watch.close()
    return create_app(watch)


@INTERFACE.exclude(path=STREAM).parametrize()
@SOME
def test_every_answer_is_one_that_the_interface_names(case: Case, app: FastAPI, state: str) -> None:
    unready = state == "nothing" and case.path == "/readyz"
    case.call_and_validate(app=app, excluded_checks=[not_a_server_error] if unready else None)


@INTERFACE.include(path=STREAM).parametrize()
@SOME
def test_the_stream_is_made_of_events(case: Case, ending: FastAPI) -> None:
    answer = case.call_and_validate(app=ending)
    if answer.status_code != 200:
        return
    blocks = answer.text.removesuffix("\n\n").split("\n\n")
    assert blocks.pop(0) == "retry: 2000"
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    assert all(event.keys() == {"id", "event", "data"} for event in events)
    assert [json.loads(event["data"])["seq"] for event in events] == [int(event["id"]) for event in events]
