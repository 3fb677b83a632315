"""Images of others are named in one file, and used as they stand there: by their digests, once these were looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmol.containers import images
from fedmol.errors import Exit, FedmolError

ROOT = Path(__file__).resolve().parents[2]
_OWN = re.compile(r"fedmol-(aggregator|collaborator):")


def _compose_files() -> list[Path]:
    return sorted(ROOT.glob("compose*.yaml"))


@pytest.mark.parametrize("path", _compose_files(), ids=lambda path: path.name)
def test_compose_names_only_what_is_locked(path: Path) -> None:
    services: dict[str, Any] = yaml.safe_load(path.read_text()).get("services", {})
    foreign = {said["image"] for said in services.values() if "image" in said and not _OWN.match(said["image"])}
    assert foreign <= {_unless_told("prometheus"), _unless_told("grafana")}
    bases = {said["build"]["args"].get("PYTHON") for said in services.values() if "dockerfile" in said.get("build", {})}
    assert bases <= {_unless_told("python")}


def _unless_told(name: str) -> str:
    """What Compose takes where the environment names no other place."""
    return f"${{{name.upper()}_IMAGE:-{images.locked(name)}}}"


def test_the_dockerfile_builds_on_what_is_locked() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    assert re.findall(r"^ARG PYTHON=(.*)$", text, flags=re.MULTILINE) == [images.locked("python")]
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, flags=re.MULTILINE))
    bases = set(re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE))
    assert bases <= {"${PYTHON}", "${IMAGE}", "scratch"} | stages


def test_charts_run_our_own_images_alone() -> None:
    for path in (*ROOT.glob("k8s/*/values.yaml"), *ROOT.glob("k8s/manifests/**/*.yaml")):
        for name in re.findall(r"image: \"?([a-z0-9./-]+)", path.read_text()):
            assert name.startswith("fedmol-"), path


def test_nothing_names_an_image_of_others_in_another_version() -> None:
    """Anywhere: templates, tests, scripts, but not what was measured once, in docs."""
    names = "|".join(re.escape(one.image.partition(":")[0]) for one in images.images().values())
    reference = re.compile(rf"(?<![\w./-])(?:{names}):v?[0-9][\w.-]*(?:@sha256:[0-9a-f]+)?")
    locked = {one.reference for one in images.images().values()}
    found = {
        (path.relative_to(ROOT), said)
        for path in _texts()
        for said in reference.findall(path.read_text(errors="replace"))
        if said not in locked
    }
    assert found == set()


def _texts() -> Iterator[Path]:
    """Of everything that runs."""
    kinds = {"", ".py", ".md", ".yaml", ".yml", ".j2", ".tpl", ".txt", ".toml", ".sh"}
    for top in (".ci", "aggregator", "benchmarks", "collaborator", "docker", "k8s", "shared", "tests"):
        yield from (path for path in (ROOT / top).rglob("*") if path.suffix in kinds and path.is_file())
    yield from (path for path in ROOT.iterdir() if path.suffix in kinds and path.is_file())


def test_a_digest_is_a_part_of_the_reference() -> None:
    digest = f"sha256:{'0' * 64}"
    assert images.Image(image="a/b:1", digest=digest).reference == f"a/b:1@{digest}"
    assert images.Image(image="a/b:1", digest=None).reference == "a/b:1"


def test_digests_are_looked_up_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, dockerfile = tmp_path / "images.json", tmp_path / "Dockerfile"
    lock.write_bytes(images.LOCK.read_bytes())
    dockerfile.write_text("ARG PYTHON=old\nFROM ${PYTHON} AS tools\n")
    monkeypatch.setattr(images, "LOCK", lock)
    monkeypatch.setenv("PATH", str(tmp_path))
    before = lock.read_bytes()
    _docker(tmp_path, "exit 1")
    with pytest.raises(FedmolError) as caught:
        images.lock(dockerfile)
    assert caught.value.exit is Exit.NO_ENGINE
    assert (lock.read_bytes(), dockerfile.read_text().splitlines()[0]) == (before, "ARG PYTHON=old")
    _docker(tmp_path, f"echo sha256:{'a' * 64}")
    images.lock(dockerfile)
    assert {one["digest"] for one in json.loads(lock.read_bytes()).values()} == {f"sha256:{'a' * 64}"}
    assert dockerfile.read_text().startswith(f"ARG PYTHON={images.images()['python'].image}@sha256:{'a' * 64}\n")


def _docker(folder: Path, does: str) -> None:
    """A Docker that answers."""
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
