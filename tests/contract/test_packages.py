"""The lock, the packages' own requirements and the code hold the same view of what is needed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PACKAGES = ["shared", "aggregator", "collaborator"]


def _project(package: str) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / package / "pyproject.toml").read_text())["project"]
    return project


def _pins(lock: Path) -> dict[str, Version]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), flags=re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def _requirements(package: str) -> list[Requirement]:
    return [Requirement(line) for line in _project(package)["dependencies"]]


@pytest.mark.parametrize("torch", ["cpu", "cuda"])
@pytest.mark.parametrize("package", PACKAGES)
def test_the_lock_pins_everything_a_package_asks_for(package: str, torch: str) -> None:
    pins = _pins(ROOT / "requirements" / "runtime.txt") | _pins(ROOT / "requirements" / f"{torch}.txt")
    pins |= {name: Version(_project(folder)["version"]) for folder in PACKAGES for name in [_project(folder)["name"]]}
    for requirement in _requirements(package):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_nothing_is_locked_that_no_package_asks_for() -> None:
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements" / "runtime.in").read_text().splitlines())
    locked = {canonicalize_name(Requirement(line).name) for line in lines if line}
    asked = {canonicalize_name(requirement.name) for package in PACKAGES for requirement in _requirements(package)}
    assert locked - {"setuptools"} == asked - {
        "torch",
        "fcd",
        "fedmol",
    }  # fcd is locked with its torch


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_its_hashes_and_no_lock_names_an_address(lock: Path) -> None:
    text = lock.read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[A-Za-z0-9._-]+==\S+ .*\\\n    --hash=sha256:[0-9a-f]{64}", block) for block in blocks)
    assert not re.search(r"https?:|file:|--index-url|--extra-index-url|--find-links| @ ", text)


def test_a_package_that_stands_in_two_locks_has_one_version() -> None:
    seen: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in _pins(lock).items():
            seen.setdefault(name, set()).add(version.public)
    assert {name: versions for name, versions in seen.items() if len(versions) > 1} == {}


def test_the_three_packages_carry_one_version() -> None:
    assert len({_project(package)["version"] for package in PACKAGES}) == 1


def test_the_default_federation_is_in_order() -> None:
    from fedmol.fl.federation import load

    settings = load(ROOT / "federation.yaml")
    assert settings.site_names == ["north", "south"]
    assert settings.data.source == "embedded"
