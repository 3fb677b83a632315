"""A run on a real cluster goes on by itself when processes, pods and certificates are taken away."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmol.pki import certificates
from tests.support.consortium import Consortium, run, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(2400)]

PARTIES = ("aggregator", "north", "south")
VALIDITY = timedelta(minutes=float(os.environ.get("FEDMOL_CERTIFICATE_MINUTES", "4")))


SHORT: dict[str, Any] = {"rounds": 8, "local_steps": 60}
QUORUM: dict[str, Any] = {"quorum": 1, "lost_after": 10}
# As long as that on any machine: beyond the end of the first certificates, with time to come back after it.
LONG: dict[str, Any] = {"rounds": 20, "budget_minutes": VALIDITY / timedelta(minutes=1) + 2}


def federation(length: dict[str, Any], rounds: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": "trial",
        "sites": [{"name": "north"}, {"name": "south"}],
        "data": {"source": "embedded", "limit": 400},
        "model": {"preset": "small", "layers": 1},
        "training": {**length, "batch_size": 32, "validation_molecules": 32},
        "rounds": {"join_deadline": 900, "lost_after": 300, **(rounds or {})},
        "evaluation": {"samples": 32, "nll_molecules": 32},
    }


@pytest.fixture
def consortium(request: pytest.FixtureRequest, cluster: None, tmp_path: Path) -> Iterator[Consortium]:
    consortium = Consortium(tmp_path, federation(*request.param))
    try:
        for party in PARTIES:
            consortium.make_place(party)
        yield consortium
    finally:
        consortium.close()


@pytest.fixture
def on_docker(cluster: None) -> None:
    runtime = run("kubectl", "get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.containerRuntimeVersion}")
    if not runtime.startswith("docker://") or subprocess.run(["docker", "ps"], capture_output=True).returncode:
        pytest.skip("processes are killed by the Docker Engine that the cluster's node runs on")


def _program(party: str) -> str:
    return "aggregator" if party == "aggregator" else "collaborator"


def _kill(consortium: Consortium, party: str, container: str) -> None:
    """As the kernel does it when a node runs out of memory: the process gets no chance to save anything."""
    wait_until(
        lambda: "running" in consortium.state(party, container)["state"],
        lambda: f"{container} of {party} does not start\n{consortium.story()}",
    )
    before = consortium.state(party, container)
    run("docker", "kill", "--signal", "KILL", before["containerID"].rpartition("/")[2])
    wait_until(
        lambda: consortium.state(party, container)["restartCount"] > before["restartCount"],
        lambda: f"{container} of {party} is not started again\n{consortium.story()}",
    )


def _undisturbed_digest(consortium: Consortium) -> str:
    """Of the model that the same federation makes when nothing happens to it."""
    for party in PARTIES:
        consortium.install(party)
    digest: str = consortium.wait_for("run_finished")["model_digest"]
    consortium.uninstall(PARTIES)
    for party in PARTIES:
        consortium.kubectl(party, "delete", "pvc", "--all", "--timeout=120s")
    return digest


@pytest.mark.parametrize("consortium", [(SHORT,)], indirect=True)
def test_killed_processes_and_deleted_pods_leave_no_trace_in_the_model(consortium: Consortium, on_docker: None) -> None:
    undisturbed = _undisturbed_digest(consortium)
    for party in PARTIES:
        consortium.install(party)
    consortium.wait_for("round_finished", round=1)
    _kill(consortium, "aggregator", "aggregator")
    consortium.wait_for("round_finished", round=2)
    _kill(consortium, "north", "collaborator")
    consortium.wait_for("round_finished", round=3)
    consortium.kubectl("south", "delete", "pod", "south-0", "--wait=false")
    consortium.wait_for("round_finished", round=5)
    consortium.kubectl("aggregator", "delete", "pod", "aggregator-0", "--wait=false")
    finished = consortium.wait_for("run_finished")
    assert (finished["outcome"], finished["model_digest"]) == ("complete", undisturbed)


@pytest.mark.parametrize("consortium", [(SHORT,)], indirect=True)
def test_neither_the_doctor_nor_a_dying_sidecar_disturbs_a_run(consortium: Consortium, on_docker: None) -> None:
    for party in PARTIES:
        consortium.install(party)
    consortium.wait_for("round_started", round=1)
    for party in PARTIES:
        _kill(consortium, party, "sidecar")
        consortium.examine(party)
    assert consortium.wait_for("run_finished")["outcome"] == "complete"
    assert [consortium.state(party, _program(party))["restartCount"] for party in PARTIES] == [0, 0, 0]


@pytest.mark.parametrize("consortium", [(SHORT, QUORUM)], indirect=True)
def test_a_site_that_was_away_at_the_end_has_the_model_in_its_volume(consortium: Consortium) -> None:
    for party in PARTIES:
        consortium.install(party)
    consortium.wait_for("round_finished", round=1)
    consortium.kubectl("south", "scale", "statefulset/south", "--replicas=0")
    assert consortium.wait_for("run_finished")["outcome"] == "quorum"
    consortium.kubectl("aggregator", "delete", "pod", "aggregator-0")  # a finished run is served again
    consortium.kubectl("south", "scale", "statefulset/south", "--replicas=1")
    assert len(set(consortium.models().values())) == 1


def _issue(consortium: Consortium, party: str, validity: timedelta) -> None:
    """New certificates by the same authority, put into the party's Secret."""
    authority, folder = consortium.folder / "places" / "certs" / "authority", consortium.certificates(party)
    for path in folder.glob("party.*"):
        path.unlink()
    (folder / "ca.crt").unlink()
    if party == "aggregator":
        address = consortium.federation["network"]["address"]
        certificates.issue_aggregator(authority, folder, [address], validity)
    else:
        certificates.issue_site(authority, folder, party, validity)
    consortium.put_certificates(party, folder)


def _wait_for_certificate(consortium: Consortium, party: str) -> None:
    """Until the kubelet has put the Secret's newest certificate into the pod."""
    newest = (consortium.certificates(party) / "party.crt").read_text()
    wait_until(
        lambda: consortium.inside(party, _program(party), "cat", "/certs/party.crt") == newest,
        lambda: f"{party} still has its old certificate",
    )


@pytest.mark.parametrize("consortium", [(LONG,)], indirect=True)
def test_a_certificate_is_renewed_and_the_run_outlives_the_old_one(consortium: Consortium, on_docker: None) -> None:
    for party in PARTIES:
        _issue(consortium, party, VALIDITY)
    expiry = datetime.now(UTC) + VALIDITY
    for party in PARTIES:
        consortium.install(party)
    consortium.wait_for("round_finished", round=1)
    for party in PARTIES:
        _issue(consortium, party, timedelta(days=30))
        _wait_for_certificate(consortium, party)
    time.sleep(max(0.0, (expiry - datetime.now(UTC)).total_seconds()))
    assert not [event for event in consortium.events() if event["kind"] == "run_finished"], "the run was too short"
    _kill(consortium, "aggregator", "aggregator")  # everybody has to shake hands anew, and no old certificate would do
    consortium.kubectl("north", "delete", "pod", "north-0", "--wait=false")
    assert consortium.wait_for("run_finished")["outcome"] == "complete"
    refused = [event for event in consortium.events() if event["kind"] == "site_refused"]
    assert refused == []
