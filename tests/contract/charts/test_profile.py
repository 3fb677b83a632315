"""Every pod fits the Pod Security Standard "restricted", its rules spelled out one by one, and goes further."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from k8s.rendering import Object, Release, containers

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


@pytest.fixture
def pods(release: Release) -> list[Object]:
    return release.pods


def _all(pods: list[Object]) -> Iterator[tuple[Object, Object]]:
    for pod in pods:
        for container in containers(pod):
            yield pod, container


def _rights(container: Object) -> dict[str, Any]:
    rights: dict[str, Any] = container["securityContext"]
    return rights


def test_baseline_no_share_in_the_host(pods: list[Object]) -> None:
    for pod in pods:
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys()
        assert "sysctls" not in pod["spec"]["securityContext"]
        assert "windowsOptions" not in pod["spec"]["securityContext"]
    for _, container in _all(pods):
        assert all("hostPort" not in port for port in container.get("ports", []))


def test_baseline_no_privileges(pods: list[Object]) -> None:
    for _, container in _all(pods):
        rights = _rights(container)
        assert not rights.get("privileged")
        assert "add" not in rights["capabilities"]
        assert not {"procMount", "seLinuxOptions", "windowsOptions"} & rights.keys()


def test_restricted_volume_types(pods: list[Object]) -> None:
    for pod in pods:
        for volume in pod["spec"]["volumes"]:
            assert (volume.keys() - {"name"}) <= VOLUMES, volume


def test_restricted_no_privilege_escalation(pods: list[Object]) -> None:
    assert all(_rights(container)["allowPrivilegeEscalation"] is False for _, container in _all(pods))


def test_restricted_running_as_non_root(pods: list[Object]) -> None:
    for pod, container in _all(pods):
        for context in (pod["spec"]["securityContext"], _rights(container)):
            assert context["runAsNonRoot"] is True
            assert context["runAsUser"] > 0
            assert context["runAsGroup"] > 0


def test_restricted_seccomp(pods: list[Object]) -> None:
    for pod, container in _all(pods):
        for context in (pod["spec"]["securityContext"], _rights(container)):
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_restricted_capabilities(pods: list[Object]) -> None:
    assert all(_rights(container)["capabilities"] == {"drop": ["ALL"]} for _, container in _all(pods))


def test_beyond_it_nothing_is_written_but_into_volumes(pods: list[Object]) -> None:
    for _, container in _all(pods):
        assert _rights(container)["readOnlyRootFilesystem"] is True
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_beyond_it_no_pod_can_talk_to_the_api(pods: list[Object]) -> None:
    assert all(pod["spec"]["automountServiceAccountToken"] is False for pod in pods)


def test_beyond_it_memory_has_a_limit(pods: list[Object]) -> None:
    for _, container in _all(pods):
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"]["cpu"]


def test_the_sidecar_is_another_user_and_never_has_the_key(pods: list[Object]) -> None:
    for pod, container in _all(pods):
        secrets = {volume["name"]: volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume}
        mounted = [secrets[mount["name"]] for mount in container["volumeMounts"] if mount["name"] in secrets]
        files = {item["path"] for secret in mounted for item in secret.get("items", [])}
        if container["name"] == "sidecar":
            assert _rights(container)["runAsUser"] == 10002
            assert files <= {"ca.crt", "party.crt"}
            assert all(mount.get("readOnly") for mount in container["volumeMounts"] if mount["mountPath"] != "/tmp")
        else:
            assert _rights(container)["runAsUser"] == 10001


def test_private_files_are_read_only_and_for_their_group_alone(pods: list[Object]) -> None:
    for pod in pods:
        assert pod["spec"]["securityContext"]["fsGroup"] == 10001
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
    for _, container in _all(pods):
        for mount in container["volumeMounts"]:
            assert "subPath" not in mount  # such a file would never be renewed
            if mount["mountPath"] in ("/certs", "/shard", "/evaluation", "/etc/fedmol"):
                assert mount["readOnly"] is True
