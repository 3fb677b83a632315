"""`docker compose up` in a fresh copy of the project: who can do what inside, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.expressions import all_expressions
from tests.support.stack import Stack, fresh_copy, models, wait_until

pytestmark = [pytest.mark.container, pytest.mark.slow, pytest.mark.timeout(1800)]

PARTIES = ("aggregator", "north", "south")
SIDECARS = ("aggregator-sidecar", "north-sidecar", "south-sidecar")
ONCE = ("prepare", "north-doctor", "south-doctor", "evaluator")
RUNNING = (*PARTIES, *SIDECARS)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, docker_engine: None) -> Iterator[Stack]:
    """A run that has begun, and is long enough for what is tried while it goes on, on a fast and busy machine, too."""
    stack = Stack(fresh_copy(tmp_path_factory.mktemp("clone"), rounds=45), "fedmol-test")
    stack.close()
    try:
        stack.compose("--profile", "*", "up", "--detach", "--build", *RUNNING, "evaluator", "prometheus")
        yield stack
    finally:
        stack.close()


def status(stack: Stack, name: str, field: str) -> str:
    """A line of /proc/1/status: the program itself, not what looks at it."""
    code, text = stack.inside(name, "cat", "/proc/1/status")
    assert code == 0
    return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith(f"{field}:"))


@pytest.mark.parametrize("name", RUNNING)
def test_nobody_is_root_and_nobody_has_a_capability(stack: Stack, name: str) -> None:
    assert "0" not in status(stack, name, "Uid").split()
    assert all(int(status(stack, name, kind), 16) == 0 for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert status(stack, name, "NoNewPrivs") == "1"


@pytest.mark.parametrize("name", RUNNING)
def test_the_root_file_system_cannot_be_written_to(stack: Stack, name: str) -> None:
    code, text = stack.python(name, "open('/opt/fedmol/probe', 'w')")
    assert code != 0
    assert "Read-only file system" in text


@pytest.mark.parametrize("name", PARTIES)
def test_there_is_nothing_to_compile_with(stack: Stack, name: str) -> None:
    found = "import shutil; print([n for n in ('cc', 'gcc', 'g++', 'clang', 'make', 'ld', 'nvcc') if shutil.which(n)])"
    assert stack.python(name, found)[1].strip() == "[]"


@pytest.mark.parametrize(("site", "other"), [("north", "south"), ("south", "north")])
def test_a_site_has_its_own_molecules_and_key_and_no_others(stack: Stack, site: str, other: str) -> None:
    code, mounts = stack.inside(site, "cat", "/proc/self/mountinfo")
    assert code == 0
    assert f"{site}-shard" in mounts
    assert other not in mounts
    assert stack.python(site, "print(open('/shard/shard.csv').readline())")[1].strip() == "smiles"
    assert "Read-only file system" in stack.python(site, "open('/shard/shard.csv', 'a')")[1]
    assert "authority" not in mounts


@pytest.mark.parametrize("name", SIDECARS)
def test_a_sidecar_cannot_read_a_key(stack: Stack, name: str) -> None:
    code, text = stack.python(name, "open('/certs/party.key')")
    assert code != 0
    assert "Permission denied" in text
    assert stack.python(name, "open('/certs/party.crt')")[0] == 0


_LISTEN = "import socket,time; s=socket.create_server(('0.0.0.0', 9999)); time.sleep(600)"
_DIAL = "import socket; socket.create_connection(('{}', {}), timeout=5); print('connected')"


def address(stack: Stack, name: str, network: str) -> str:
    return str(
        stack.consortium.container(name).attrs["NetworkSettings"]["Networks"][f"{stack.project}_{network}"]["IPAddress"]
    )


def test_no_site_reaches_another(stack: Stack) -> None:
    south = address(stack, "south", "south-line")
    stack.consortium.container("south").exec_run(["python", "-c", _LISTEN], detach=True)
    wait_until(lambda: "connected" in stack.python("aggregator", _DIAL.format(south, 9999))[1], "south listens", 60)
    assert "connected" not in stack.python("north", _DIAL.format(south, 9999))[1]
    assert "connected" not in stack.python("north", _DIAL.format("south", 9999))[1]
    assert "connected" not in stack.python("north-sidecar", _DIAL.format(south, 9999))[1]


def test_a_site_reaches_the_aggregator_and_nothing_else(stack: Stack) -> None:
    assert "connected" in stack.python("north", _DIAL.format("aggregator", 50051))[1]
    sidecar = address(stack, "aggregator-sidecar", "aggregator-page")
    for host, port in ((sidecar, 8080), ("aggregator-sidecar", 8080), ("1.1.1.1", 53), ("1.1.1.1", 443)):
        assert "connected" not in stack.python("north", _DIAL.format(host, port))[1], host


def test_no_page_reaches_another(stack: Stack) -> None:
    for party in ("north", "aggregator"):
        page = address(stack, f"{party}-sidecar", f"{party}-page")
        assert "connected" in stack.python(f"{party}-sidecar", _DIAL.format(page, 8080))[1]
        assert "connected" not in stack.python("south-sidecar", _DIAL.format(page, 8080))[1]
        assert "connected" not in stack.python("south-sidecar", _DIAL.format(f"{party}-sidecar", 8080))[1]


def test_the_page_shows_the_run_while_it_goes_on(stack: Stack) -> None:
    wait_until(lambda: stack.get("/v1/status").json()["round"] >= 1, "a round has begun", 300)
    said = {site["name"] for site in stack.get("/v1/sites").json()["sites"]}
    assert said == {"north", "south"}
    assert [site["name"] for site in stack.get("/v1/sites", "north-sidecar").json()["sites"]] == ["north"]
    assert stack.get("/").headers["Content-Type"].startswith("text/html")
    assert stack.get("/readyz", "south-sidecar").status_code == 200


def test_molecules_are_shown_before_the_run_is_over(stack: Stack) -> None:
    wait_until(lambda: stack.get("/v1/molecules").json()["samples"] > 0, "molecules of a round", 300)
    assert stack.get("/v1/molecules").json()["round"] >= 1


@pytest.fixture(scope="module")
def finished(stack: Stack) -> Stack:
    wait_until(lambda: stack.consortium.states()["evaluator"].ended, "the evaluator has ended")
    return stack


def test_every_party_holds_the_same_model_when_the_run_is_over(finished: Stack, tmp_path: Path) -> None:
    wait_until(lambda: None not in codes(finished).values(), "everybody has ended", 120)
    assert len(models(finished.consortium, PARTIES, tmp_path)) == 1


def codes(stack: Stack) -> dict[str, int | None]:
    """Of every program that shall end; None while it has not."""
    states = stack.consortium.states()
    return {name: states[name].code if states[name].ended else None for name in (*PARTIES, *ONCE)}


def test_every_program_ends_with_nothing_to_complain_of(finished: Stack) -> None:
    assert codes(finished) == dict.fromkeys((*PARTIES, *ONCE), 0)
    said = finished.get("/v1/status").json()
    assert (said["state"], said["outcome"], said["missing"]) == ("finished", "complete", [])


def test_the_report_is_there(finished: Stack, tmp_path: Path) -> None:
    finished.consortium.fetch("evaluator", "/results", tmp_path)
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "model.safetensors").stat().st_size > 0
    page = finished.get("/report")
    assert page.status_code == 200
    assert page.text == (tmp_path / "report.html").read_text()


def answer(stack: Stack, query: str) -> list[object]:
    reply = requests.get(
        f"{stack.consortium.page('prometheus')}/api/v1/query", params={"query": query}, timeout=20
    ).json()
    found: list[object] = reply["data"]["result"]
    return found


def test_every_expression_of_dashboards_and_alerts_returns_data(finished: Stack) -> None:
    """On the Prometheus that has scraped this run: none asks for what is not there."""
    asked = [one for site in ("north", "south") for one in all_expressions(site=site)]
    wait_until(lambda: bool(answer(finished, 'fedmol_run_state{state="finished"} == 1')), "the end is scraped", 60)
    assert [(where, query) for where, query in asked if not answer(finished, query)] == []


def test_going_up_again_finds_the_run_finished(finished: Stack) -> None:
    before = finished.get("/v1/status").json()["log"]["events"]
    finished.compose("up", "--detach", *RUNNING, "evaluator")
    wait_until(lambda: None not in codes(finished).values(), "nobody has anything to do", 180)
    assert codes(finished) == dict.fromkeys((*PARTIES, *ONCE), 0)
    assert finished.get("/v1/status").json()["log"]["events"] == before


def test_a_program_that_is_asked_to_stop_does_so_at_once(finished: Stack) -> None:
    """As process 1 of its container, to which signals are not delivered unless it asks for them."""
    finished.consortium.container("south-sidecar").stop(timeout=60)
    assert finished.consortium.states()["south-sidecar"].code in (0, 143)  # 137 if it had to be killed


def test_down_leaves_nothing(finished: Stack) -> None:
    finished.down()
    wait_until(lambda: finished.left() == [], "the engine has forgotten everything", 60)
