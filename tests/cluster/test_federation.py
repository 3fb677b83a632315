"""A whole federation on a real cluster: four namespaces, one run, nothing in common but the network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmol.training.model_file import load_model
from tests.support.consortium import ROOT, SITES, Consortium, refused, run

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

FEDERATION: dict[str, Any] = {
    "name": "trial",
    "sites": [{"name": name} for name in SITES],
    "data": {"source": "embedded", "limit": 600},
    "model": {"preset": "small", "layers": 1},
    "training": {"rounds": 4, "local_steps": 20, "batch_size": 32, "validation_molecules": 32},
    "rounds": {"join_deadline": 600, "lost_after": 60},
    "evaluation": {"samples": 32, "nll_molecules": 32},
}
PARTIES = ("aggregator", *SITES)


@pytest.fixture(scope="module")
def consortium(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Installed, with its run over."""
    consortium = Consortium(tmp_path_factory.mktemp("consortium"), FEDERATION)
    try:
        for party in PARTIES:
            consortium.make_place(party)
            consortium.install(party)
        consortium.wait_for("run_finished")
        yield consortium
    finally:
        consortium.close()


def test_the_model_is_the_one_that_processes_on_one_machine_make(consortium: Consortium, tmp_path: Path) -> None:
    (tmp_path / "federation.yaml").write_text(yaml.safe_dump(FEDERATION))
    fedmol = [sys.executable, "-m", "fedmol.cli.main"]
    run(*fedmol, "run", "--settings", tmp_path / "federation.yaml", "--runs", tmp_path, "--run-id", "trial-1")
    events = (tmp_path / "trial-1" / "aggregator" / "events.jsonl").read_text().splitlines()
    (finished,) = (event for event in map(json.loads, events) if event["kind"] == "run_finished")
    there = consortium.wait_for("run_finished")
    assert there["model_digest"] == finished["model_digest"]
    assert there["outcome"] == finished["outcome"] == "complete"


def test_every_party_has_the_same_model_in_its_volume(consortium: Consortium) -> None:
    sums = consortium.models()
    assert list(sums) == list(PARTIES)
    assert len(set(sums.values())) == 1


@pytest.mark.parametrize("party", PARTIES)
def test_the_doctor_finds_nothing(consortium: Consortium, party: str) -> None:
    consortium.examine(party)


def test_model_and_report_come_out_by_the_commands_of_the_notes(consortium: Consortium, tmp_path: Path) -> None:
    namespace = consortium.namespace("aggregator")
    model = tmp_path / "model.safetensors"
    command = ["kubectl", "-n", namespace, "exec", "aggregator-0", "-c", "aggregator", "--", "cat"]
    fetched = subprocess.run([*command, "/state/trial-1/model.safetensors"], check=True, capture_output=True).stdout
    model.write_bytes(fetched)
    assert load_model(model)
    run("kubectl", "-n", namespace, "cp", "-c", "evaluator", "aggregator-0:/results/trial-1", tmp_path / "results")
    assert "<svg" in (tmp_path / "results" / "report.html").read_text()


@pytest.mark.parametrize("party", PARTIES)
def test_nothing_runs_as_root_and_the_sidecar_cannot_read_the_key(consortium: Consortium, party: str) -> None:
    program = "aggregator" if party == "aggregator" else "collaborator"
    assert consortium.inside(party, program, "id", "-u").strip() == "10001"
    assert consortium.inside(party, "sidecar", "id", "-u").strip() == "10002"
    assert set(consortium.inside(party, "sidecar", "ls", "/certs").split()) == {"ca.crt", "party.crt"}
    pod = ["kubectl", "-n", consortium.namespace(party), "exec", f"{party}-0", "-c"]
    assert "Read-only file system" in refused(*pod, program, "--", "touch", "/opt/fedmol/probe")
    assert "Read-only file system" in refused(*pod, "sidecar", "--", "touch", "/state/probe")
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert "No such file" in refused(*pod, program, "--", "cat", token)


@pytest.mark.parametrize("party", PARTIES)
def test_the_sidecar_tells_of_its_own_party_where_prometheus_would_ask(consortium: Consortium, party: str) -> None:
    annotations = consortium.pod(party)["metadata"]["annotations"]
    address = f"{consortium.pod(party)['status']['podIP']}:{annotations['prometheus.io/port']}"
    ask = f"import urllib.request as u; print(u.urlopen('http://{address}/metrics').read().decode())"
    told = consortium.inside(party, "sidecar", "python", "-c", ask)
    assert 'fedmol_run_state{state="finished"} 1.0' in told
    assert 'fedmol_certificate_expiry_timestamp_seconds{certificate="party"}' in told


def test_uninstalling_leaves_what_the_notes_say_and_nothing_else(consortium: Consortium) -> None:
    notes = {party: json.loads(consortium.helm(party, "status"))["notes"] for party in PARTIES}
    consortium.uninstall(PARTIES)
    for party in PARTIES:
        names = ["state", "results"] if party == "aggregator" else ["state"]
        left = {f"persistentvolumeclaim/{name}-{party}-0" for name in names} | {f"pod/{party}-doctor"}
        assert all(name.partition("/")[2] in notes[party] for name in left)
        assert consortium.left(party) - {"secret/certs", "secret/molecules"} <= left


def test_a_missing_secret_is_refused_by_its_name_and_nothing_is_left(cluster: None, tmp_path: Path) -> None:
    consortium = Consortium(tmp_path, FEDERATION)
    try:
        consortium.make_place("north")
        values = consortium.write_values("north", certificates={"secret": "elsewhere"})
        command: list[str | Path] = [
            "helm",
            "install",
            "north",
            ROOT / "k8s" / "collaborator",
            "-n",
            consortium.namespace("north"),
        ]
        said = refused(*command, "-f", values)
        assert f"certificates.secret: there is no Secret elsewhere in namespace {consortium.namespace('north')}" in said
        assert consortium.left("north") == {"secret/certs", "secret/molecules"}
    finally:
        consortium.close(["north"])
