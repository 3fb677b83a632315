"""The aggregator is killed, or stopped, in its last seconds: every program ends with 0, every site with the model (R2).

What sites meet in theirs is in test_ending.py.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.report.pages import write_report
from fedmol.telemetry.events.run_events import ModelDelivered, RunFinished
from tests.support.stage import AGGREGATOR, Stage, small_settings

Build = Callable[[Settings], Stage]

SERVICE = "fedmol_aggregator.service"
NOTE = "fedmol_aggregator.deliveries:Deliveries.note"
KEEP = "fedmol_collaborator.run_end:keep"


def settings() -> Settings:
    """The aggregator waits for as long as it takes."""
    return small_settings(rounds={"farewell": 600})


def all_end_with_the_model(run: Stage, undisturbed: Stage) -> None:
    """The aggregator is asked to stop when all have it: started again after the end, it would wait for more to come."""
    codes = {name: run.wait(name) for name in run.sites}
    assert codes == dict.fromkeys(run.sites, 0), "\n".join(run.log(name) for name in run.sites)
    delivered = set[str]()
    while delivered != set(run.sites):
        delivered.add(run.wait_for(ModelDelivered, lambda event: event.site not in delivered).site)
    run.signal(AGGREGATOR, signal.SIGTERM)
    assert run.wait(AGGREGATOR) == 0
    whole = (undisturbed.folder / AGGREGATOR / "model.safetensors").read_bytes()
    for name in run.parties:
        assert run.events_path(name).with_name("model.safetensors").read_bytes() == whole, name
    assert len(run.events(RunFinished)) == 1
    assert len(run.events(ModelDelivered)) == len(run.sites)
    assert "Complete" in write_report(run.folder / AGGREGATOR).read_text()


@pytest.mark.parametrize(
    ("target", "when", "number"),
    [
        pytest.param(f"{SERVICE}:Service.finish", "before", "SIGKILL", id="killed-before-the-end-is-logged"),
        pytest.param(f"{SERVICE}:save_final_model", "before", "SIGKILL", id="killed-before-the-model-is-written"),
        pytest.param(f"{SERVICE}:save_final_model", "after", "SIGKILL", id="killed-after-the-model-is-written"),
        pytest.param(f"{SERVICE}:Service.finish", "before", "SIGTERM", id="stopped-before-the-end-is-logged"),
    ],
)
def test_the_aggregator_ends_in_its_last_seconds(
    undisturbed: Stage, stage: Build, target: str, when: str, number: str
) -> None:
    run = stage(settings())
    run.start("model", "west")
    run.crash(AGGREGATOR, target, when, number=number)
    code = run.wait(AGGREGATOR)
    assert code == (-signal.SIGKILL if number == "SIGKILL" else Exit.TERMINATED), run.log(AGGREGATOR)
    run.start(AGGREGATOR)
    all_end_with_the_model(run, undisturbed)


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_the_aggregator_ends_while_one_site_has_the_model_and_the_other_has_not(
    undisturbed: Stage, stage: Build, number: str
) -> None:
    run = stage(settings())
    run.start("model")
    run.crash("west", KEEP, "before")
    run.crash(AGGREGATOR, NOTE, "after", number=number)
    code = run.wait(AGGREGATOR)
    assert code == (-signal.SIGKILL if number == "SIGKILL" else Exit.TERMINATED), run.log(AGGREGATOR)
    assert (run.wait("model"), run.wait("west")) == (0, -signal.SIGKILL)
    if number == "SIGTERM":
        assert "west" in run.parties[AGGREGATOR].last_words()
    run.start(AGGREGATOR, "west")
    all_end_with_the_model(run, undisturbed)


def test_an_aggregator_that_stays_is_there_for_a_site_that_comes_back_after_the_end(
    undisturbed: Stage, stage: Build
) -> None:
    run = stage(settings())
    aggregator = run.parties[AGGREGATOR]
    run.parties[AGGREGATOR] = replace(aggregator, command=[*aggregator.command, "--stay"])
    run.start(AGGREGATOR, "model")
    run.crash("west", KEEP, "before")
    assert (run.wait("model"), run.wait("west")) == (0, -signal.SIGKILL)
    run.signal(AGGREGATOR, signal.SIGTERM)
    assert run.wait(AGGREGATOR) == 0  # it was to stay until it is asked to stop
    run.start(AGGREGATOR, "west")
    all_end_with_the_model(run, undisturbed)


def test_a_power_cut_while_the_model_is_handed_out(undisturbed: Stage, stage: Build) -> None:
    run = stage(settings())
    run.start("model")
    run.crash("west", KEEP, "after")
    run.crash(AGGREGATOR, NOTE, "before")
    assert (run.wait(AGGREGATOR), run.wait("west")) == (-signal.SIGKILL, -signal.SIGKILL)
    run.signal("model", signal.SIGKILL)
    run.wait("model")
    run.start()
    assert run.wait(AGGREGATOR) == 0  # by itself
    all_end_with_the_model(run, undisturbed)
