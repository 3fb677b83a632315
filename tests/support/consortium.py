"""A consortium on a real cluster: the aggregator in one namespace, each site in its own, each with what is its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PATIENCE = 900.0  # seconds after which a test gives up
SITES = ("north", "south", "west")
LIMITS = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}}  # a test's cluster may be small


def run(*command: str | Path, given: str | None = None) -> str:
    """The command's output; what it said when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    assert done.returncode == 0, f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def refused(*command: str | Path) -> str:
    """What the command says when it fails, as it must."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    assert done.returncode != 0, f"{' '.join(words)} was expected to fail\n{done.stdout}"
    return done.stdout + done.stderr


def wait_until(what: Callable[[], bool], why: Callable[[], str]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, f"not within {PATIENCE:.0f} s: {why()}"
        time.sleep(1)


class Consortium:
    """Namespaces `<prefix>-coordinator` and `<prefix>-<site>`; releases are named after their party."""

    def __init__(self, folder: Path, federation: dict[str, Any]) -> None:
        self.folder, self.prefix = folder, f"fedmol-{uuid.uuid4().hex[:6]}"
        address = f"aggregator.{self.namespace('aggregator')}.svc.cluster.local"
        self.federation = {
            **federation,
            "network": {"address": address, "port": 50051, **federation.get("network", {})},
        }
        self.sites = [site["name"] for site in federation["sites"]]
        (folder / "federation.yaml").write_text(yaml.safe_dump(self.federation))
        run(".venv/bin/fedmol", "prepare", "--settings", folder / "federation.yaml", "--out", folder / "places")

    @property
    def parties(self) -> list[str]:
        return ["aggregator", *self.sites]

    def namespace(self, party: str) -> str:
        return f"{self.prefix}-{'coordinator' if party == 'aggregator' else party}"

    def kubectl(self, party: str, *words: str | Path, given: str | None = None) -> str:
        return run("kubectl", "-n", self.namespace(party), *words, given=given)

    def make_place(self, party: str) -> None:
        """A namespace with what the party's owner puts into it: certificates, and molecules."""
        run("kubectl", "create", "namespace", self.namespace(party))
        self.put_certificates(party, self.certificates(party))
        molecules = "data" if party == "aggregator" else f"sites/{party}"
        self.put_secret(party, "molecules", self.folder / "places" / molecules, "*.csv")

    def certificates(self, party: str) -> Path:
        return self.folder / "places" / "certs" / (party if party == "aggregator" else f"site-{party}")

    def put_certificates(self, party: str, folder: Path) -> None:
        self.put_secret(party, "certs", folder, "*.???")

    def put_secret(self, party: str, name: str, folder: Path, pattern: str) -> None:
        files = [f"--from-file={path}" for path in sorted(folder.glob(pattern))]
        made = self.kubectl(party, "create", "secret", "generic", name, *files, "--dry-run=client", "-o", "yaml")
        self.kubectl(party, "apply", "-f", "-", given=made)

    def values(self, party: str) -> dict[str, Any]:
        shared = {
            "run": "trial-1",
            "federation": self.federation,
            "certificates": {"secret": "certs"},
            "image": {"tag": os.environ.get("FEDMOL_TAG", "")},
        }
        if party == "aggregator":
            names = dict.fromkeys(("aggregator", "evaluator", "sidecar"), LIMITS)
            namespaces = [self.namespace(site) for site in self.sites]
            own: dict[str, Any] = {
                "evaluation": {"secret": "molecules", "test": "test.csv", "known": "known.csv"},
                "networkPolicy": {"sites": {"namespaces": namespaces}},
            }
        else:
            names = dict.fromkeys(("collaborator", "sidecar"), LIMITS)
            own = {
                "site": party,
                "shard": {"secret": "molecules"},
                "networkPolicy": {"aggregator": {"namespaces": [self.namespace("aggregator")]}},
            }
        return {**shared, **own, "resources": names}

    def write_values(self, party: str, **changes: Any) -> Path:
        path = self.folder / f"values-{party}.yaml"
        path.write_text(yaml.safe_dump({**self.values(party), **changes}))
        return path

    def helm(self, party: str, verb: str, *words: str | Path) -> str:
        return run("helm", verb, party, *words, "-n", self.namespace(party))

    def install(self, party: str, **changes: Any) -> str:
        return self.helm(party, "install", chart(party), "-f", self.write_values(party, **changes))

    def examine(self, party: str) -> None:
        """`helm test`, whose pod may need longer than some a helm waits: what counts is how the pod ends."""
        command = ["helm", "test", party, "-n", self.namespace(party)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0 or "Pod in progress" in done.stderr, done.stdout + done.stderr
        get = ["get", "pod", f"{party}-doctor", "-o", "jsonpath={.status.phase}"]
        wait_until(lambda: self.kubectl(party, *get) in ("Succeeded", "Failed"), self.story)
        assert self.kubectl(party, *get) == "Succeeded", self.kubectl(party, "logs", f"{party}-doctor")

    def pod(self, party: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl(party, "get", "pod", f"{party}-0", "-o", "json"))
        return found

    def state(self, party: str, container: str) -> dict[str, Any]:
        found: dict[str, Any]
        (found,) = (one for one in self.pod(party)["status"]["containerStatuses"] if one["name"] == container)
        return found

    def uninstall(self, parties: Sequence[str]) -> None:
        """All of them, until their pods are gone."""
        for party in parties:
            self.helm(party, "uninstall")
        for party in parties:
            self._wait_until_gone(party)

    def _wait_until_gone(self, party: str) -> None:
        get = ["get", "pod", f"{party}-0", "--ignore-not-found", "-o", "name"]
        wait_until(lambda: not self.kubectl(party, *get), lambda: f"the pod of {party} stays\n{self.story()}")

    def inside(self, party: str, container: str, *command: str) -> str:
        return self.kubectl(party, "exec", f"{party}-0", "-c", container, "--", *command)

    def events(self, party: str = "aggregator") -> list[dict[str, Any]]:
        container = "aggregator" if party == "aggregator" else "collaborator"
        try:
            text = self.inside(party, container, "cat", "/state/trial-1/events.jsonl")
        except AssertionError:  # the container is being started again
            return []
        return [json.loads(line) for line in text.splitlines()]

    def wait_for(
        self, kind: str, party: str = "aggregator", patience: float = PATIENCE, **fields: Any
    ) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def seen() -> bool:
            events = self.events(party)
            found.extend(event for event in events if event["kind"] == kind and fields.items() <= event.items())
            return bool(found)

        wait_until(seen, lambda: f"{kind} {fields} at {party}\n{self.story()}")
        return found[-1]

    def models(self) -> dict[str, str]:
        """SHA-256 of the final model in each party's volume, once the aggregator knows that every site has it."""
        for site in self.sites:
            self.wait_for("model_delivered", site=site)
        sums = {}
        for party in self.parties:
            program = "aggregator" if party == "aggregator" else "collaborator"
            sums[party] = self.inside(party, program, "sha256sum", "/state/trial-1/model.safetensors").split()[0]
        return sums

    def story(self) -> str:
        """For whoever has to find out why."""
        told = []
        for party in self.parties:
            for words in (["get", "pods"], ["get", "events"], ["logs", f"{party}-0", "--all-containers", "--tail=20"]):
                done = subprocess.run(
                    ["kubectl", "-n", self.namespace(party), *words], capture_output=True, text=True, timeout=60
                )
                told.append(f"--- {party}: kubectl {' '.join(words)}\n{done.stdout[-3000:]}{done.stderr[-500:]}")
        return "\n".join(told)

    def left(self, party: str) -> set[str]:
        """Kinds and names of what is in a party's namespace, but for what every namespace has."""
        kinds = "all,configmap,secret,serviceaccount,pvc,networkpolicy,poddisruptionbudget"
        names = self.kubectl(party, "get", kinds, "-o", "name").split()
        return {name for name in names if "default" not in name and "kube-root-ca" not in name}

    def close(self, parties: Sequence[str] | None = None) -> None:
        namespaces = [self.namespace(party) for party in parties or self.parties]
        subprocess.run(["kubectl", "delete", "namespace", *namespaces, "--wait=false"], capture_output=True, timeout=60)


def chart(party: str) -> Path:
    return ROOT / "k8s" / ("aggregator" if party == "aggregator" else "collaborator")
