from __future__ import annotations

import pytest

from k8s.rendering import Install, Release
from k8s.stub_cluster import CERT_MANAGER, CURRENT, GATEWAY, KINDS, OPERATOR, Cluster
from tests.support.installing import helm as helm
from tests.support.installing import install as install
from tests.support.trial import VARIANTS


@pytest.fixture(scope="session", params=VARIANTS)
def release(request: pytest.FixtureRequest, install: Install) -> Release:
    """Each way of installing a chart in turn, into a cluster that has everything."""
    chart, values = VARIANTS[request.param]
    return install(chart, values, Cluster(kinds=KINDS | CURRENT | OPERATOR | CERT_MANAGER | GATEWAY))
