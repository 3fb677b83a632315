from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fedmol.sidecar import event_stream, views
from fedmol.sidecar.app import LOOPBACK, create_app
from fedmol.sidecar.live_page import Page
from fedmol.sidecar.log_watch import Watch
from fedmol.telemetry.log import EventLog
from tests.support.story import Story, watching

ROOT = Path(__file__).parents[3]


@pytest.fixture
def client(story: Story) -> Iterator[TestClient]:
    story.start().gather().play(1).play(2)
    with TestClient(create_app(watching(story.folder))) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "view"),
    [
        ("/healthz", views.Health),
        ("/readyz", views.Readiness),
        ("/v1/status", views.StatusView),
        ("/v1/sites", views.SitesView),
        ("/v1/rounds", views.RoundsView),
        ("/v1/rounds/2", views.RoundDetail),
        ("/v1/molecules", views.MoleculesView),
    ],
)
def test_every_endpoint_answers_with_its_view(client: TestClient, path: str, view: type[views.View]) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    view.model_validate_json(answer.text, strict=True)


def test_the_status_is_that_of_the_log(client: TestClient) -> None:
    said = client.get("/v1/status").json()
    assert (said["role"], said["run"], said["state"]) == ("aggregator", "trial", "running")
    assert (said["round"], said["rounds_finished"], said["nll"]) == (2, 2, 72.0)
    assert said["sites"] == {"waiting": 2}
    assert said["log"]["intact"] is True


def test_rounds_are_the_newest_ones_in_order(client: TestClient) -> None:
    assert [one["number"] for one in client.get("/v1/rounds?limit=1").json()["rounds"]] == [2]
    assert client.get("/v1/rounds").json()["total"] == 2
    assert set(client.get("/v1/rounds/1").json()["timeline"]) == {"north", "south"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/rounds/9", 404),
        ("/v1/rounds/x", 422),
        ("/v1/rounds?limit=0", 422),
        ("/v1/events?after=-2", 422),
        ("/no", 404),
    ],
)
def test_errors_are_problems(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert views.Problem.model_validate_json(answer.text).status == status


def test_nothing_can_be_changed(client: TestClient) -> None:
    assert client.post("/v1/status").status_code == 405


def test_every_answer_keeps_to_itself(client: TestClient) -> None:
    for path in ("/", "/v1/status", "/no"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_on_loopback_only_loopback_names_are_answered(story: Story) -> None:
    story.start()
    app = create_app(watching(story.folder), answer_to=LOOPBACK)
    assert TestClient(app, base_url="http://localhost:8080").get("/healthz").status_code == 200
    assert TestClient(app, base_url="http://evil.example").get("/v1/status").status_code == 400


def test_other_names_are_answered_to_where_they_are_named(story: Story) -> None:
    app = create_app(watching(story.start().folder), answer_to=[*LOOPBACK, "monitor.example.org", "[fd00::7]"])
    for base in (
        "http://monitor.example.org:8080",
        "http://MONITOR.example.org",
        "http://[fd00::7]",
        "http://localhost",
    ):
        assert TestClient(app, base_url=base).get("/healthz").status_code == 200
    for base in ("http://evil.example", "http://example.org", "http://x.monitor.example.org"):
        assert TestClient(app, base_url=base).get("/healthz").status_code == 400


def test_the_report_is_served_once_it_is_there(story: Story, tmp_path: Path) -> None:
    story.start()
    watch = watching(story.folder, results=tmp_path / "results")
    client = TestClient(create_app(watch))
    missing = client.get("/report")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert 'href="report"' not in Page(watch).html()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "report.html").write_text("<p>the account</p>")
    answer = client.get("/report")
    assert answer.text == "<p>the account</p>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'href="report"' in Page(watch).html()


def test_a_report_may_have_styles_within_and_nothing_else(story: Story) -> None:
    (story.start().folder / "report.html").write_text("<p>the account</p>")
    headers = TestClient(create_app(watching(story.folder))).get("/report").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {name for name, allowed in policy.items() if allowed != "'none'"} == {"style-src"}
    assert headers["x-content-type-options"] == "nosniff"


def test_a_log_that_is_not_there_is_waited_for_and_said(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "later")
    watch.catch_up()
    client = TestClient(create_app(watch))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "it is not there yet" in answer.json()["reasons"][0]
    assert client.get("/healthz").status_code == 200
    assert client.get("/v1/status").json()["state"] == "waiting-for-log"
    assert "it is not there yet" in client.get("/").text
    Story(tmp_path / "later", ["north"]).start()
    watch.catch_up()
    assert client.get("/readyz").status_code == 200


def test_the_log_of_a_run_played_on_one_machine_is_found(tmp_path: Path) -> None:
    Story(tmp_path / "aggregator", ["north"]).start()
    watch = Watch(tmp_path)
    watch.catch_up()
    assert watch.run.run == "trial"


def test_a_diverged_loss_is_null(story: Story) -> None:
    story.start().gather()
    story.progress("north", 1, "training", step=1, steps=4, loss=float("nan"))
    client = TestClient(create_app(watching(story.folder)))
    assert client.get("/v1/sites").json()["sites"][0]["loss"] is None


def _events(text: str) -> list[dict[str, Any]]:
    blocks = [block for block in text.split("\n\n") if block.startswith("id: ")]
    fields = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    return [{**one, "data": json.loads(one["data"])} for one in fields]


def _streamed(story: Story, **arguments: Any) -> list[dict[str, Any]]:
    watch = watching(story.folder)
    watch.close()  # the stream ends once everything has been sent
    answer = TestClient(create_app(watch)).get("/v1/events", **arguments)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return _events(answer.text)


def test_the_stream_goes_on_after_the_last_event_that_the_client_has(story: Story) -> None:
    story.start().gather()
    all_of_them = _streamed(story, params={"after": -1})
    assert [int(one["id"]) for one in all_of_them] == [0, 1, 2, 3, 4]
    assert [one["event"] for one in all_of_them[:2]] == ["run_started", "round_started"]
    assert [one["data"]["seq"] for one in _streamed(story, headers={"Last-Event-ID": "2"})] == [3, 4]
    assert _streamed(story) == []


def test_a_client_of_another_log_gets_this_one_from_its_beginning(story: Story) -> None:
    story.start()
    assert [one["id"] for one in _streamed(story, headers={"Last-Event-ID": "700"})] == ["0", "1"]


def test_a_stream_hears_of_new_events_and_ends_with_the_service(story: Story) -> None:
    story.start()

    async def listen() -> list[bytes]:
        watch = watching(story.folder)
        heard: list[bytes] = []

        async def take() -> None:
            async for part in event_stream.events(watch, None):
                heard.append(part)

        listening = asyncio.create_task(take())
        await asyncio.sleep(0)
        story.train("north", 1)
        watch.catch_up()
        await asyncio.sleep(0)
        watch.close()
        await listening
        return heard

    parts = asyncio.run(listen())
    assert [one["event"] for one in _events(b"".join(parts).decode())] == ["site_progress"]


def test_what_json_cannot_say_is_null_in_the_stream(story: Story) -> None:
    story.start()
    story.progress("north", 1, "training", loss=float("nan"))
    story.log.path.write_bytes(story.log.path.read_bytes() + b"no event\n")
    *_, nan, broken = _streamed(story, params={"after": -1})
    assert nan["data"]["loss"] is None
    assert (broken["event"], broken["data"]) == ("unreadable", {"line": 4})


def test_a_broken_chain_is_said(site_log: EventLog) -> None:
    text = site_log.path.read_bytes()
    site_log.path.write_bytes(text.replace(b'"bytes": 400', b'"bytes": 1', 1))
    client = TestClient(create_app(watching(site_log.path.parent)))
    said = client.get("/v1/status").json()["log"]
    assert (said["intact"], said["broken_line"]) == (False, 5)
    assert "The log was changed" in client.get("/").text
    assert "fedmol_log_intact 0.0" in client.get("/metrics").text
