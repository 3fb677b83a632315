from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.container.stack import run

# Set before torch is imported anywhere: a test's processes must not fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A file's tests, which share runs, stay together, and so do all that share this machine's engine and cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "machine" if file.startswith(("tests/cluster/", "tests/container/")) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """Skips where there is no Docker Engine, unless FEDMOL_REQUIRE_CONTAINERS says that there has to be one."""
    try:
        subprocess.run(["docker", "info"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        if os.environ.get("FEDMOL_REQUIRE_CONTAINERS"):
            pytest.fail(f"a Docker Engine is required, and `docker info` fails: {error}")
        pytest.skip("no Docker Engine")


@pytest.fixture(scope="session")
def built_images(docker_engine: None) -> None:
    """Both images, of the code as it is."""
    run("make", "images")
