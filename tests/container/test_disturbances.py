"""Four sites: one stands still, one is cut off, one dies. The run goes on, and everyone is told the truth."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from safetensors.numpy import load_file

from fedmol.containers.compose_project import ComposeProject
from fedmol.containers.compose_runner import named_sites, write_deployment
from fedmol.fl.federation import parse
from fedmol.telemetry.events.field_types import known
from fedmol.telemetry.events.round_events import RoundFinished
from fedmol.telemetry.log import Event
from fedmol.telemetry.queries import logged
from tests.support.stack import ROOT, SMALL, models, prometheus_image, run, wait_until

pytestmark = [pytest.mark.container, pytest.mark.slow, pytest.mark.timeout(1800)]

RUN = "test-disturbed"
SETTINGS = {
    **SMALL,
    "data": {"source": "embedded", "limit": 800},
    "training": {"rounds": 40, "local_steps": 10, "batch_size": 32, "validation_molecules": 16},
    "rounds": {"quorum": 3, "lost_after": 5, "join_deadline": 600, "deadline": 300},
}


class Disturbed:
    """The run in the hands of the `fedmol disturb` command, and what its page, metrics and log say."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        two = parse(SETTINGS | {"rounds": {"lost_after": 5}}, "test")
        settings = parse(SETTINGS | {"sites": named_sites(two, 4)}, "test")
        self.stage = write_deployment(settings, runs / RUN)
        self.consortium = ComposeProject.reach(self.stage.project)
        services = [f"{site}{part}" for site in settings.site_names for part in ("", "-sidecar")]
        self.services = ["aggregator", "aggregator-sidecar", "evaluator", "prometheus", *services]

    def disturb(self, site: str, how: str) -> None:
        run(sys.executable, "-m", "fedmol.cli.main", "disturb", RUN, site, how, "--runs", str(self.runs))

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.consortium.page()}{path}", timeout=20)

    def state(self, site: str) -> str:
        return str({one["name"]: one["state"] for one in self.get("/v1/sites").json()["sites"]}[site])

    def metric(self, site: str, state: str) -> bool:
        return f'fedmol_site_state{{site="{site}",state="{state}"}} 1.0' in self.get("/metrics").text

    def await_truth(self, site: str, state: str) -> float:
        """Seconds until JSON, metrics and page call the site by its state."""
        return wait_until(
            lambda: (
                self.state(site) == state
                and self.metric(site, state)
                and re.search(rf'<li class="{state}">\s*<h3>{site}</h3>', self.get("/").text) is not None
            ),
            f"{site} is shown as {state}",
            120,
        )

    def rounds(self) -> list[Event[RoundFinished]]:
        self.consortium.fetch("aggregator-sidecar", "/state/events.jsonl", self.runs)
        return list(logged(self.runs / "events.jsonl", RoundFinished))

    def await_rounds(self, count: int) -> None:
        begun = self.get("/v1/status").json()["rounds_finished"]
        wait_until(lambda: self.get("/v1/status").json()["rounds_finished"] >= begun + count, f"{count} rounds", 300)

    def firing(self, alert: str, site: str) -> bool:
        query = f'ALERTS{{alertname="{alert}",site="{site}",alertstate="firing"}}'
        answer = requests.get(f"{self.consortium.page('prometheus')}/api/v1/query", params={"query": query}, timeout=20)
        return bool(answer.json()["data"]["result"])


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, built_images: None) -> Iterator[Disturbed]:
    """A run whose agreement stands."""
    disturbed = Disturbed(tmp_path_factory.mktemp("runs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("PROMETHEUS_IMAGE", prometheus_image())
        disturbed.stage.compose("up", "--detach", "--no-build", *disturbed.services)
        try:
            wait_until(lambda: disturbed.get("/v1/status").json()["rounds_finished"] >= 1, "the first round", 600)
            yield disturbed
        finally:
            disturbed.stage.compose("--profile", "*", "down", "--volumes", "--timeout", "5")


def test_a_site_that_stands_still_for_two_rounds_counts_again(disturbed: Disturbed) -> None:
    disturbed.disturb("east", "pause")
    print(f"paused: told after {disturbed.await_truth('east', 'lost'):.1f} s")
    disturbed.await_rounds(2)
    disturbed.disturb("east", "resume")
    wait_until(lambda: disturbed.state("east") not in ("lost", "late"), "east is back", 120)
    wait_until(lambda: "east" in disturbed.rounds()[-1].body.sites, "east counts again", 300)
    assert any("east" in event.body.missing for event in disturbed.rounds())


def test_a_site_that_was_cut_off_counts_again(disturbed: Disturbed) -> None:
    disturbed.disturb("west", "cut")
    print(f"cut off: told after {disturbed.await_truth('west', 'lost'):.1f} s")
    assert disturbed.consortium.states()["west"].status == "running"
    disturbed.disturb("west", "mend")
    wait_until(lambda: disturbed.state("west") not in ("lost", "late"), "west is back", 120)
    wait_until(lambda: "west" in disturbed.rounds()[-1].body.sites, "west counts again", 300)


def test_a_site_that_is_slowed_down_is_waited_for(disturbed: Disturbed) -> None:
    disturbed.disturb("north", "slow")
    disturbed.await_rounds(1)
    assert disturbed.rounds()[-1].body.missing == []
    disturbed.disturb("north", "hurry")


def test_a_site_that_dies_is_told_and_alerted(disturbed: Disturbed) -> None:
    disturbed.disturb("south", "kill")
    print(f"killed: told after {disturbed.await_truth('south', 'lost'):.1f} s")
    wait_until(lambda: disturbed.firing("SiteLost", "south"), "the alert SiteLost", 120)


def test_the_run_ends_with_the_quorums_model(disturbed: Disturbed, tmp_path: Path) -> None:
    wait_until(lambda: disturbed.consortium.states()["evaluator"].ended, "the run is over", 900)
    said = disturbed.get("/v1/status").json()
    assert (said["state"], said["outcome"], said["missing"]) == ("finished", "quorum", ["south"])
    assert {"east", "south"} <= set(said["missed_rounds"])
    last = disturbed.rounds()[-1]
    weights = known(last.body.weights)
    mean = sum(weight * update(disturbed, site, tmp_path, last.round) for site, weight in weights.items())
    disturbed.consortium.fetch("aggregator", "/state/rounds", tmp_path / "rounds")
    model = load_file(tmp_path / "rounds" / f"round-{last.round:04d}.safetensors")["model"]
    assert sorted(weights) == ["east", "north", "west"]
    np.testing.assert_allclose(model, mean, atol=1e-6)


def update(
    disturbed: Disturbed, site: str, folder: Path, round: int | None
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """What the site sent in a round, from its own disk."""
    disturbed.consortium.fetch(site, "/state/state", folder / site)
    vector: np.ndarray[tuple[int], np.dtype[np.float32]] = load_file(folder / site / f"round-{round:04d}.safetensors")[
        "update"
    ]
    return vector


def test_a_site_that_was_away_at_the_end_gets_the_model_from_an_aggregator_that_was_started_again(
    disturbed: Disturbed, tmp_path: Path
) -> None:
    """It is waited for: nobody but the aggregator could give it what it has taken part in."""
    assert not disturbed.consortium.states()["aggregator"].ended
    disturbed.disturb("aggregator", "kill")
    disturbed.disturb("aggregator", "start")
    disturbed.disturb("south", "start")
    parties = ("aggregator", "east", "north", "south", "west")
    wait_until(lambda: all(disturbed.consortium.states()[party].ended for party in parties), "all have ended", 300)
    assert {party: disturbed.consortium.states()[party].code for party in parties} == dict.fromkeys(parties, 0)
    assert len(models(disturbed.consortium, parties, tmp_path)) == 1


def test_a_container_that_is_not_there_is_named(disturbed: Disturbed) -> None:
    with pytest.raises(AssertionError, match="no container 'nowhere'"):
        disturbed.disturb("nowhere", "kill")
