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


def _asked(*packages: str, extras: str = "") -> list[Requirement]:
    """What the packages ask for, and with them the extras that they, or we, ask for; nothing of our own."""
    declared = _project("shared")["optional-dependencies"]
    left = [Requirement(line) for package in packages for line in _project(package)["dependencies"]]
    left += [Requirement(f"fedmol[{extras}]")] if extras else []
    asked = list[Requirement]()
    while left:
        requirement = left.pop()
        if requirement.name == "fedmol":
            left += [Requirement(line) for extra in requirement.extras for line in declared[extra]]
            left += [Requirement(line) for line in _project("shared")["dependencies"]]
        else:
            asked.append(requirement)
    return asked


def _names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(one.name) for one in requirements}


def _inputs(name: str) -> set[str]:
    """The packages that an input of a lock names, and those of the input that it includes."""
    names = set[str]()
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        said = line.split("#")[0].strip()
        if said.startswith("-r "):
            names |= _inputs(said.removeprefix("-r "))
        elif said:
            names.add(canonicalize_name(Requirement(said).name))
    return names


_APART = {"torch", "fcd"}  # torch has a lock for each of its builds; fcd stands on it


@pytest.mark.parametrize("torch", ["cpu", "cuda"])
@pytest.mark.parametrize("lock", ["runtime", "image"])
def test_the_lock_pins_everything_a_package_asks_for(lock: str, torch: str) -> None:
    pins = dict[str, Version]()
    for one in (lock, torch, "fcd"):
        pins |= _pins(ROOT / "requirements" / f"{one}.txt")
    asked = _asked(*PACKAGES, extras="all") if lock == "runtime" else _asked("aggregator", "collaborator")
    for requirement in asked:
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_nothing_is_locked_that_no_package_asks_for() -> None:
    assert _inputs("runtime.in") - {"setuptools"} == _names(_asked(*PACKAGES, extras="all")) - _APART


def test_an_image_has_what_the_programs_ask_for_and_no_more() -> None:
    """What the aggregator's needs and the site's does not comes in a layer of its own, or OpenFL brings it anyway."""
    assert _inputs("image.in") - {"setuptools"} == _names(_asked("aggregator", "collaborator")) - _APART
    assert _names(_asked("aggregator")) - _names(_asked("collaborator")) == {"fcd", "pandas"}
    assert "docker" not in _pins(ROOT / "requirements" / "image.txt")


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
