"""A site whose key is made in its own pod, by the commands of the chart's notes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.consortium import ROOT, Consortium, refused, run, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

FEDERATION = {
    "name": "trial",
    "sites": [{"name": "north"}],
    "data": {"source": "embedded", "limit": 300},
    "model": {"preset": "small", "layers": 1},
    "training": {"rounds": 2, "local_steps": 4, "batch_size": 32, "validation_molecules": 32},
    "rounds": {"join_deadline": 900},
    "evaluation": {"samples": 32, "nll_molecules": 32},
}


def _shell(command: str, folder: Path) -> str:
    done = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _sign(consortium: Consortium, request: Path, out: Path) -> str:
    authority = consortium.folder / "places" / "certs" / "authority"
    fedmol = ROOT / ".venv" / "bin" / "fedmol"
    out.unlink(missing_ok=True)
    return run(fedmol, "certs", "sign", request, "--ca", authority, "--site", "north", "--out", out)


def test_a_key_that_never_leaves_its_pod(cluster: None, tmp_path: Path) -> None:
    consortium = Consortium(tmp_path, FEDERATION)
    try:
        for party in ("aggregator", "north"):
            consortium.make_place(party)
        consortium.kubectl("north", "delete", "secret", "certs")
        consortium.install("aggregator")
        consortium.install("north", certificates={"request": True})
        notes = json.loads(consortium.helm("north", "status"))["notes"]
        ask, compare, *bring = [line.strip() for line in notes.splitlines() if "-c certificate" in line]
        waiting = ["kubectl", "-n", consortium.namespace("north"), "logs", "north-0", "-c", "certificate"]
        wait_until(
            lambda: "waiting for the certificate" in subprocess.run(waiting, capture_output=True, text=True).stdout,
            consortium.story,
        )
        _shell(ask, tmp_path)
        signed = _sign(consortium, tmp_path / "north.csr", tmp_path / "north.crt")
        fingerprint = _shell(compare, tmp_path).rpartition(": ")[2].strip()
        assert fingerprint in signed
        (tmp_path / "ca.crt").write_bytes((consortium.folder / "places/certs/authority/ca.crt").read_bytes())
        for command in bring:
            _shell(command, tmp_path)
        assert consortium.wait_for("run_finished")["outcome"] == "complete"
        in_sidecar = ["kubectl", "-n", consortium.namespace("north"), "exec", "north-0", "-c", "sidecar", "--"]
        assert "Permission denied" in refused(*in_sidecar, "cat", "/state/certs/party.key")
        shown = consortium.inside("north", "sidecar", "cat", "/state/certs/party.crt")
        assert shown == (tmp_path / "north.crt").read_text()
        _sign(consortium, tmp_path / "north.csr", tmp_path / "north.crt")
        for command in bring:
            _shell(command.replace("-c certificate", "-c collaborator"), tmp_path)
        renewed = (tmp_path / "north.crt").read_text()
        assert consortium.inside("north", "collaborator", "cat", "/state/certs/party.crt") == renewed
    finally:
        consortium.close()
