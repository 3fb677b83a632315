from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.installing import helm as helm
from tests.support.installing import install as install


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> None:
    """Skips where no cluster is reached, unless FEDMOL_REQUIRE_CLUSTER says that there has to be one.

    Its nodes find the images of tag FEDMOL_TAG, or take those that are built now from this machine's Docker Engine.
    """
    try:
        subprocess.run(["kubectl", "get", "--raw", "/readyz"], check=True, capture_output=True, timeout=60)
        subprocess.run(["helm", "list", "-n", "default"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        if os.environ.get("FEDMOL_REQUIRE_CLUSTER"):
            pytest.fail(f"a cluster is required, and cannot be used: {error}")
        pytest.skip("no cluster: KUBECONFIG, kubectl and helm are needed, and an account that may make namespaces")
    if not os.environ.get("FEDMOL_TAG"):
        request.getfixturevalue("built_images")
