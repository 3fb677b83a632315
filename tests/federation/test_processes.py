"""Sites that train in several processes: a lost process is said and survived."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.telemetry.events.site_events import TrainingStep
from tests.support.stage import Stage, small_settings


def test_a_site_whose_worker_is_killed_says_so_and_goes_on_when_started_again(
    stage: Callable[[Settings], Stage],
) -> None:
    calm, run = (stage(small_settings(training={"processes": 2})) for _ in range(2))
    calm.start()
    assert {name: calm.wait(name) for name in calm.parties} == dict.fromkeys(calm.parties, 0), calm.log("west")

    run.start()
    run.wait_for(TrainingStep, name="west")
    west = run.parties["west"].process
    assert west is not None
    (worker,) = [child for child in psutil.Process(west.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    worker.kill()
    assert run.wait("west") == Exit.PROCESS_LOST
    assert "training lost worker 1 (exit code -9) of its 2 processes" in run.log("west")
    run.start("west")
    assert {name: run.wait(name) for name in run.parties} == dict.fromkeys(run.parties, 0), run.log("west")
    assert run.checkpoint(3).tobytes() == calm.checkpoint(3).tobytes()
