"""What the charts put into a cluster: valid for Kubernetes from then until now, and what each cluster knows."""

from __future__ import annotations

import base64
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions, major_minor

from k8s.rendering import Install, Object, Release
from k8s.stub_cluster import CERT_MANAGER, CURRENT, GATEWAY, KINDS, NEW_GATEWAY, OLD, OPERATOR, Cluster
from tests.support.trial import AGGREGATOR, MINIMAL, SITE, changed

VERSIONS = [major_minor(version) for version in all_versions()]
CUSTOM = {"Certificate", "PrometheusRule", "ServiceMonitor", "TLSRoute"}  # Kubernetes' own schemas do not tell of them
RECOMMENDED = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
}


def _everything(release: Release) -> list[Object]:
    return [*release.objects, *release.hooks]


@pytest.mark.parametrize("version", [VERSIONS[0], *VERSIONS[-3:]])
def test_manifests_are_valid_by_the_schemas_of_kubernetes(release: Release, version: str) -> None:
    for one in _everything(release):
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, version, strict=True)


def test_nobody_is_given_rights(release: Release) -> None:
    kinds = {one["kind"] for one in _everything(release)}
    assert not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "Secret", "Namespace"}
    assert all(account["automountServiceAccountToken"] is False for account in release.of_kind("ServiceAccount"))


def test_everything_has_the_recommended_labels(release: Release) -> None:
    for one in [*_everything(release), release.pod]:
        assert one["metadata"]["labels"].keys() >= RECOMMENDED
    assert release.pod["metadata"]["labels"]["app.kubernetes.io/component"] in ("aggregator", "collaborator")


def test_every_selector_finds_this_releases_pod_and_no_version_is_in_it(release: Release) -> None:
    labels = release.pod["metadata"]["labels"]
    services = [one["spec"]["selector"] for one in release.of_kind("Service")]
    others = [*release.of_kind("PodDisruptionBudget"), *release.of_kind("StatefulSet")]
    for selector in [*services, *(one["spec"]["selector"]["matchLabels"] for one in others)]:
        assert selector.items() <= labels.items()
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance"} <= selector.keys()
        assert "app.kubernetes.io/version" not in selector


def test_no_two_objects_have_one_name(release: Release) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in _everything(release)]
    assert len(names) == len(set(names))


def test_a_pod_starts_anew_when_the_settings_change(install: Install) -> None:
    def checksum(**changes: Any) -> str:
        annotations = install("collaborator", changed(SITE, **changes)).pod["metadata"]["annotations"]
        return str(annotations["checksum/config"])

    assert checksum() == checksum(podLabels={"team": "chemistry"}) != checksum(federation__seed=1)


@pytest.mark.parametrize(("kinds", "version"), [(CURRENT, "policy/v1"), (OLD, "policy/v1beta1")])
def test_the_budget_is_of_the_version_that_the_cluster_has(
    install: Install, kinds: dict[str, str], version: str
) -> None:
    release = install("aggregator", AGGREGATOR, Cluster("1.20.2" if kinds is OLD else "1.36.0", KINDS | kinds))
    (budget,) = release.of_kind("PodDisruptionBudget")
    assert (budget["apiVersion"], budget["spec"]["maxUnavailable"]) == (version, 0)


def test_a_cluster_that_is_too_old_is_refused(install: Install) -> None:
    with pytest.raises(Exception, match="kubeVersion"):
        install("aggregator", AGGREGATOR, Cluster("1.19.0", KINDS | OLD))


@pytest.mark.parametrize("chart", MINIMAL)
def test_with_the_operator_prometheus_is_told_by_its_own_kinds(install: Install, chart: str) -> None:
    release = install(chart, MINIMAL[chart], Cluster(kinds=KINDS | CURRENT | OPERATOR))
    (monitor,), (rule,) = release.of_kind("ServiceMonitor"), release.of_kind("PrometheusRule")
    service = release.named("Service", "fl-sidecar")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    party = {"aggregator": ("aggregator", "aggregator"), "collaborator": ("site", "north")}[chart]
    given = {one["targetLabel"]: one["replacement"] for one in monitor["spec"]["endpoints"][0]["relabelings"]}
    assert (given["job"], given["party"]) == party
    assert {group["name"] for group in rule["spec"]["groups"]} >= {"fedmol-run", "fedmol-sites"}
    assert not any("prometheus.io" in name for name in release.pod["metadata"]["annotations"])


@pytest.mark.parametrize("chart", MINIMAL)
def test_without_the_operator_by_annotations_and_a_file(install: Install, chart: str) -> None:
    release = install(chart, MINIMAL[chart])
    assert {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics"}.items() <= (
        release.pod["metadata"]["annotations"].items()
    )
    rules = yaml.safe_load(release.named("ConfigMap", "fl-rules")["data"]["rules.yml"])
    assert rules["groups"]
    silent = install(chart, changed(MINIMAL[chart], monitoring={"enabled": False, "dashboards": False}))
    assert [one["metadata"]["name"] for one in silent.of_kind("ConfigMap")] == ["fl-federation"]
    assert not any("prometheus.io" in name for name in silent.pod["metadata"]["annotations"])


@pytest.mark.parametrize(("chart", "dashboard"), [("aggregator", "federation"), ("collaborator", "site")])
def test_grafana_is_handed_the_same_dashboard_as_in_containers(install: Install, chart: str, dashboard: str) -> None:
    from k8s.rendering import ROOT

    release = install(chart, MINIMAL[chart])
    handed = release.named("ConfigMap", f"fl-dashboard-{dashboard}")
    assert handed["metadata"]["labels"]["grafana_dashboard"] == "1"
    source = (ROOT / "docker" / "grafana" / "dashboards" / f"{dashboard}.json").read_text()
    assert yaml.safe_load(handed["data"][f"{dashboard}.json"]) == yaml.safe_load(source)


def test_ways_in(install: Install) -> None:
    def service(**changes: Any) -> Any:
        return install("aggregator", changed(AGGREGATOR, **changes)).named("Service", "fl")["spec"]

    inside = service(federation__network={"address": "fl", "port": 443})
    assert (inside["type"], inside["ports"]) == ("ClusterIP", [{"name": "grpc", "port": 443, "targetPort": "grpc"}])
    on_nodes = service(federation__network={"address": "fl.example.org", "port": 30051}, service={"type": "NodePort"})
    assert (on_nodes["ports"][0]["nodePort"], on_nodes["ports"][0]["port"]) == (30051, 30051)
    balanced = service(service={"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.0/24"]})
    assert balanced["loadBalancerSourceRanges"] == ["203.0.113.0/24"]


def test_whatever_sites_dial_the_aggregator_listens_on_its_own_port(install: Install) -> None:
    release = install("aggregator", changed(AGGREGATOR, federation__network={"address": "fl", "port": 443}))
    document = yaml.safe_load(release.named("ConfigMap", "fl-federation")["data"]["federation.yaml"])
    assert document["network"] == {"address": "fl", "port": 50051}
    assert document["sites"] == AGGREGATOR["federation"]["sites"]
    assert release.container("aggregator")["ports"] == [{"name": "grpc", "containerPort": 50051}]


def test_tls_is_passed_through_to_the_aggregator(install: Install) -> None:
    (ingress,) = install("aggregator", changed(AGGREGATOR, ingress={"enabled": True})).of_kind("Ingress")
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/ssl-passthrough"] == "true"
    assert ingress["spec"]["rules"][0]["host"] == "fl.example.org"
    assert "secretName" not in ingress["spec"]["tls"][0]


@pytest.mark.parametrize(("kinds", "version"), [(GATEWAY, "v1alpha2"), (NEW_GATEWAY, "v1")])
def test_a_route_is_of_the_version_that_the_cluster_has(install: Install, kinds: dict[str, str], version: str) -> None:
    values = changed(AGGREGATOR, gateway={"enabled": True, "name": "edge", "sectionName": "fl"})
    (route,) = install("aggregator", values, Cluster(kinds=KINDS | CURRENT | kinds)).of_kind("TLSRoute")
    assert route["apiVersion"] == f"gateway.networking.k8s.io/{version}"
    assert route["spec"]["parentRefs"] == [{"name": "edge", "sectionName": "fl"}]
    assert route["spec"]["hostnames"] == ["fl.example.org"]
    assert route["spec"]["rules"][0]["backendRefs"] == [{"name": "fl", "port": 50051}]


@pytest.mark.parametrize(
    ("chart", "name", "usage"), [("aggregator", "aggregator", "server auth"), ("collaborator", "north", "client auth")]
)
def test_a_certificate_has_the_name_by_which_its_party_is_known(
    install: Install, chart: str, name: str, usage: str
) -> None:
    values = changed(MINIMAL[chart], certificates={"certManager": {"enabled": True, "issuer": {"name": "trial"}}})
    release = install(chart, values, Cluster(kinds=KINDS | CURRENT | CERT_MANAGER))
    (certificate,) = release.of_kind("Certificate")
    spec = certificate["spec"]
    assert (spec["commonName"], spec["usages"]) == (name, ["digital signature", usage])
    assert spec["dnsNames"] == ["fl.example.org" if chart == "aggregator" else "north"]
    assert spec["privateKey"]["algorithm"] == "ECDSA"  # fedmol takes no other
    (mounted,) = (one for one in release.pod["spec"]["volumes"] if one["name"] == "certs")
    assert mounted["secret"]["secretName"] == spec["secretName"]
    names = {item["key"]: item["path"] for item in mounted["secret"]["items"]}
    assert names == {"ca.crt": "ca.crt", "tls.crt": "party.crt", "tls.key": "party.key"}


def test_a_gpu_is_asked_for_by_its_name(install: Install) -> None:
    gpu = {"count": 2, "resource": "nvidia.com/mig-1g.10gb", "runtimeClassName": "nvidia"}
    release = install("collaborator", changed(SITE, gpu=gpu))
    for name in ("doctor", "collaborator"):
        assert release.container(name)["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == 2
    assert release.pod["spec"]["runtimeClassName"] == "nvidia"
    assert "nvidia.com/mig-1g.10gb" not in release.hooks[0]["spec"]["containers"][0]["resources"]["limits"]


def test_shared_memory_is_memory_with_a_limit(install: Install) -> None:
    release = install("collaborator", changed(SITE, sharedMemory="2Gi"))
    (volume,) = (one for one in release.pod["spec"]["volumes"] if one["name"] == "shm")
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert {"name": "shm", "mountPath": "/dev/shm"} in release.container("collaborator")["volumeMounts"]


def test_an_image_is_named_by_its_digest_when_there_is_one(install: Install) -> None:
    digest = f"sha256:{'ab' * 32}"
    values = changed(SITE, image={"repository": "registry.example.org/site", "tag": "1", "digest": digest})
    assert install("collaborator", values).container("sidecar")["image"] == f"registry.example.org/site@{digest}"
    tagged = install("collaborator", changed(SITE, image={"tag": "1"}))
    assert tagged.container("sidecar")["image"] == "fedmol-collaborator:1"
    assert "image.digest is not set" in tagged.notes


def test_the_charts_icon_is_the_picture() -> None:
    from k8s.rendering import ROOT

    for chart in MINIMAL:
        icon = yaml.safe_load((ROOT / "k8s" / chart / "Chart.yaml").read_text())["icon"]
        assert base64.b64decode(icon.partition("base64,")[2]) == (ROOT / "k8s" / "icon.svg").read_bytes()
