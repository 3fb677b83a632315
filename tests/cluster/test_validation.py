"""What the charts make is accepted by a real API server, field by field, and by whatever it checks besides."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from k8s.rendering import Install
from k8s.stub_cluster import CERT_MANAGER, GATEWAY, KINDS, OLD, Cluster
from tests.support.consortium import run
from tests.support.trial import VARIANTS

pytestmark = pytest.mark.cluster

CUSTOM = {"Certificate", "TLSRoute"}  # kinds that a bare cluster does not know


@pytest.fixture(scope="module")
def namespace(cluster: None) -> Iterator[str]:
    name = f"fedmol-{uuid.uuid4().hex[:6]}"
    run("kubectl", "create", "namespace", name)
    run("kubectl", "-n", name, "create", "serviceaccount", "fl")  # a pod is only looked at when its account is there
    yield name
    run("kubectl", "delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_server_takes_everything_as_it_is(namespace: str, install: Install, variant: str) -> None:
    chart, values = VARIANTS[variant]
    release = install(chart, values, Cluster("1.20.2", KINDS | OLD | CERT_MANAGER | GATEWAY))
    objects = [one for one in (*release.objects, *release.hooks) if one["kind"] not in CUSTOM]
    for one in objects:
        one["metadata"].pop("namespace", None)
        for name in ("runtimeClassName", "priorityClassName"):  # of objects that a cluster need not have
            one.get("spec", {}).pop(name, None)
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    command = ["kubectl", "-n", namespace, "apply", "--dry-run=server", "--validate=true", "-f", "-"]
    assert len(run(*command, given=given).splitlines()) == len(objects)
