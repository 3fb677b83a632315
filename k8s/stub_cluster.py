"""As much of a Kubernetes API server as Helm needs to install a chart: discovery, and objects. Nothing runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

KINDS = {
    "v1": "ConfigMap Namespace PersistentVolumeClaim Pod Secret Service ServiceAccount",
    "apps/v1": "StatefulSet",
    "networking.k8s.io/v1": "Ingress NetworkPolicy",
}
CURRENT = {"policy/v1": "PodDisruptionBudget"}
OLD = {"policy/v1beta1": "PodDisruptionBudget"}
OPERATOR = {"monitoring.coreos.com/v1": "PrometheusRule ServiceMonitor"}
CERT_MANAGER = {"cert-manager.io/v1": "Certificate"}
GATEWAY = {"gateway.networking.k8s.io/v1alpha2": "TLSRoute"}
NEW_GATEWAY = {"gateway.networking.k8s.io/v1": "TLSRoute", **GATEWAY}


@dataclass
class Cluster:
    """What it says of itself, and what has been put into it, by path."""

    version: str = "1.36.0"
    kinds: dict[str, str] = field(default_factory=lambda: KINDS | CURRENT)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)

    def get(self, path: str) -> dict[str, Any] | None:
        match path.strip("/").split("/"):
            case ["version"]:
                major, minor, _ = self.version.split(".")
                return {"major": major, "minor": minor, "gitVersion": f"v{self.version}"}
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"]}
            case ["apis"]:
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": self._groups()}
            case ["api", "v1"]:
                return self._resources("v1")
            case ["apis", group, version]:
                return self._resources(f"{group}/{version}")
        if path in self.objects:
            return self.objects[path]
        return self._list(path) if path.split("/")[-1] in self._plurals() else None

    def put(self, collection: str, document: dict[str, Any]) -> None:
        self.objects[f"{collection}/{document['metadata']['name']}"] = document

    def _groups(self) -> list[dict[str, Any]]:
        groups: dict[str, list[dict[str, str]]] = {}
        for each in self.kinds:
            if "/" in each:
                group, version = each.split("/")
                groups.setdefault(group, []).append({"groupVersion": each, "version": version})
        return [{"name": name, "versions": found, "preferredVersion": found[0]} for name, found in groups.items()]

    def _resources(self, group_version: str) -> dict[str, Any] | None:
        if group_version not in self.kinds:
            return None
        resources = [
            {"name": plural(kind), "kind": kind, "namespaced": kind != "Namespace", "verbs": ["create", "get", "list"]}
            for kind in self.kinds[group_version].split()
        ]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        }

    def _plurals(self) -> set[str]:
        return {plural(kind) for kinds in self.kinds.values() for kind in kinds.split()}

    def _list(self, path: str) -> dict[str, Any]:
        items = [one for place, one in self.objects.items() if place.rpartition("/")[0] == path]
        return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}


def plural(kind: str) -> str:
    return f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}{'es' if kind.endswith('s') else 's'}"


@contextmanager
def serve(cluster: Cluster) -> Iterator[str]:
    """A kubeconfig for it, as text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = cluster.get(urlsplit(self.path).path)
            self._answer(found or {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})

        def do_POST(self) -> None:
            self._keep(self.path)

        def do_PUT(self) -> None:
            self._keep(self.path.rpartition("/")[0])

        def _keep(self, collection: str) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Type"] == "application/json":
                cluster.put(urlsplit(collection).path, json.loads(body))
            # What is not JSON is Helm's own record of the release, in protobuf: it is given back and forgotten.
            self._send(201, self.headers["Content-Type"], body)

        def _answer(self, document: dict[str, Any]) -> None:
            self._send(document.get("code", 200), "application/json", json.dumps(document).encode())

        def _send(self, code: int, content_type: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield _KUBECONFIG % server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: stub, cluster: {server: "http://127.0.0.1:%d"}}]
users: [{name: stub, user: {token: none}}]
contexts: [{name: stub, context: {cluster: stub, user: stub}}]
current-context: stub
"""
