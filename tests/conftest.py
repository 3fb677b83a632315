from __future__ import annotations

import os
import subprocess

import pytest

from tests.container.stack import run

# Set before torch is imported anywhere: a test's processes must not fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker plays all that shares this machine's engine and cluster; else files stay whole: they share runs."""
    for item in items:
        shared = item.get_closest_marker("container") or item.get_closest_marker("cluster")
        item.add_marker(pytest.mark.xdist_group("machine" if shared else str(item.path)))


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
