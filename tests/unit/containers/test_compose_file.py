from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from fedmol.cli.render import render
from fedmol.containers.compose_file import compose, compose_gpu, scrape_targets
from fedmol.containers.compose_runner import named_sites, write_deployment
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings, parse

ROOT = Path(__file__).parents[3]


def settings(*sites: str) -> Settings:
    return parse({"sites": [{"name": site} for site in sites]}, "test")


def document(*sites: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(compose(settings(*sites)))
    return loaded


def mounted(service: dict[str, Any]) -> set[str]:
    return {volume.split(":")[0] for volume in service["volumes"]}


def test_what_is_committed_follows_from_federation_yaml() -> None:
    result = CliRunner().invoke(render, ["--settings", str(ROOT / "federation.yaml"), "--out", str(ROOT), "--check"])
    assert result.exit_code == 0, result.exception


def test_a_file_that_does_not_follow_is_named(tmp_path: Path) -> None:
    CliRunner().invoke(render, ["--settings", str(ROOT / "federation.yaml"), "--out", str(tmp_path)])
    (tmp_path / "compose.yaml").write_text("name: another\n")
    arguments = ["--settings", str(ROOT / "federation.yaml"), "--out", str(tmp_path), "--check"]
    result = CliRunner().invoke(render, arguments)
    assert isinstance(result.exception, FedmolError)
    assert "compose.yaml" in result.exception.message
    assert (tmp_path / "compose.yaml").read_text() == "name: another\n"


def test_no_site_mounts_what_is_anothers() -> None:
    services = document("north", "south", "west")["services"]
    for site in ("north", "south", "west"):
        for part in (site, f"{site}-doctor", f"{site}-sidecar"):
            others = {name for name in mounted(services[part]) if name.endswith(("-certs", "-shard", "-state"))}
            assert {name.rsplit("-", 1)[0] for name in others} == {site}


def test_a_sidecar_mounts_no_shard() -> None:
    services = document("north")["services"]
    assert "north-shard" in mounted(services["north"])
    assert "north-shard" not in mounted(services["north-sidecar"])


def test_sites_share_no_network_and_only_pages_are_published() -> None:
    services = document("north", "south")["services"]
    assert set(services["north"]["networks"]).isdisjoint(services["south"]["networks"])
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"aggregator-sidecar", "north-sidecar", "south-sidecar", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_no_page_shares_a_network_with_another_or_with_a_key() -> None:
    services = document("north", "south")["services"]
    for party in ("aggregator", "north", "south"):
        assert services[f"{party}-sidecar"]["networks"] == [f"{party}-page"]
        on_it = {name for name, said in services.items() if f"{party}-page" in said.get("networks", [])}
        assert on_it == {f"{party}-sidecar", "prometheus"}


def test_lines_lead_nowhere_else() -> None:
    networks = document("north")["networks"]
    assert networks["north-line"]["internal"] is True


@pytest.mark.parametrize("name", ["restart", "read_only", "cap_drop", "security_opt", "mem_limit", "user", "logging"])
def test_every_service_is_hardened(name: str) -> None:
    for service, said in document("north")["services"].items():
        assert name in said, service
    assert all(said["cap_drop"] == ["ALL"] and said["read_only"] for said in document("north")["services"].values())


def test_nobody_is_root_and_sidecars_are_users_of_their_own() -> None:
    services = document("north")["services"]
    assert all(not said["user"].startswith("0") for said in services.values())
    assert services["north-sidecar"]["user"].split(":")[0] != services["north"]["user"].split(":")[0]


@pytest.mark.parametrize("name", ["aggregator", "prepare", "grafana"])
def test_a_site_cannot_be_called_like_a_service(name: str) -> None:
    with pytest.raises(FedmolError, match=name) as caught:
        compose(settings(name))
    assert caught.value.exit is Exit.BAD_SETTINGS


def test_a_site_cannot_be_called_like_anothers_sidecar() -> None:
    with pytest.raises(FedmolError, match="north-sidecar"):
        compose(settings("north", "north-sidecar"))


def test_gpus_are_asked_for_by_the_sites_alone() -> None:
    overlay = yaml.safe_load(compose_gpu(settings("north", "south")))["services"]
    assert set(overlay) == {"north", "north-doctor", "south", "south-doctor"}
    assert overlay["north"]["build"]["args"]["TORCH"] == "cuda"


def test_prometheus_watches_every_sidecar() -> None:
    targets = scrape_targets(["north", "south"])
    sites = yaml.safe_load(targets["sites.yaml"])
    assert [(one["targets"], one["labels"]["party"]) for one in sites] == [
        (["north-sidecar:8080"], "north"),
        (["south-sidecar:8080"], "south"),
    ]


def test_more_sites_than_the_settings_name() -> None:
    names = [site["name"] for site in named_sites(settings("lab", "south"), 6)]
    assert names[:2] == ["lab", "south"]
    assert len(set(names)) == 6
    assert [site["name"] for site in named_sites(settings("lab", "south"), 1)] == ["lab"]


def test_a_stage_publishes_where_there_is_room_and_builds_nothing(tmp_path: Path) -> None:
    stage = write_deployment(settings("north", "south"), tmp_path / "One")
    services = yaml.safe_load(stage.compose_file.read_text())["services"]
    assert services["north-sidecar"]["ports"] == ["127.0.0.1::8080"]
    assert not any("build" in service for service in services.values())
    assert str(tmp_path / "One" / "federation.yaml") in str(services["north"]["volumes"])
    assert stage.project == "fedmol-one"
