from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.tiers import missing, not_run

# Set before torch is imported anywhere: a test's processes must not fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


_MACHINE = "machine"  # the tests of engine and cluster
_GPU = "gpu"  # those that share a small run of `make gpu`


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A file's tests, which share runs, stay together; those of this machine's engine and cluster come first, alone.

    A cluster whose programs do not get their share of two cores loses what it was told, and its pods never come.
    """

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        super().mark_test_complete(node, item_index, duration)
        if not self._machine_is_taken():
            for other in self.nodes:
                for _ in range(2):  # a process begins only when it knows of a second test
                    self._reschedule(other)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith(("tests/cluster/", "tests/container/")):
            return _MACHINE
        return _GPU if file.startswith("tests/benchmarks/test_gpu") else file

    def _assign_work_unit(self, node: Any) -> None:
        if _MACHINE in self.workqueue:
            self.workqueue.move_to_end(_MACHINE, last=False)
        elif self._machine_is_taken() and _MACHINE not in self.assigned_work[node]:
            return
        super()._assign_work_unit(node)

    def _machine_is_taken(self) -> bool:
        return any(not all(units.get(_MACHINE, {}).values()) for units in self.assigned_work.values())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := not_run(terminalreporter.getreports("skipped")):
        terminalreporter.section("NOT RUN", yellow=True, bold=True)
        for line in lines:
            terminalreporter.line(line, yellow=True)


@pytest.fixture(scope="session")
def docker_engine(request: pytest.FixtureRequest) -> None:
    """A Docker Engine; FEDMOL_REQUIRE_CONTAINERS says that there has to be one."""
    try:
        subprocess.run(["docker", "info"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        missing(request.config, "container", "FEDMOL_REQUIRE_CONTAINERS", f"no Docker Engine ({error})")


@pytest.fixture(scope="session")
def built_images(docker_engine: None) -> None:
    """Both images, of the code as it is."""
    from tests.support.stack import run

    run("make", "images")
