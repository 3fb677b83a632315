from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.installing import helm as helm
from tests.support.installing import install as install
from tests.support.tiers import missing


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> None:
    """A cluster, by KUBECONFIG, kubectl, helm and an account that may make namespaces.

    FEDMOL_REQUIRE_CLUSTER says that there has to be one. Its nodes find the images of tag FEDMOL_TAG; without a tag the
    images are built now, by this machine's Docker Engine.
    """
    try:
        subprocess.run(["kubectl", "get", "--raw", "/readyz"], check=True, capture_output=True, timeout=60)
        subprocess.run(["helm", "list", "-n", "default"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        missing(request.config, "cluster", "FEDMOL_REQUIRE_CLUSTER", f"no cluster that can be used ({error})")
    if not os.environ.get("FEDMOL_TAG"):
        request.getfixturevalue("built_images")
