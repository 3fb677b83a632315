from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedmol.fl.federation import Settings
from tests.support.light import Build, Light, light_settings
from tests.support.stage import Stage, builder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.federation)


@pytest.fixture
def light(tmp_path: Path) -> Iterator[Build]:
    """Builds federations of light members, which are shut when the test ends, however it ends."""
    with builder(Light, Light.shut, tmp_path / "light") as build:
        yield build


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[[Settings], Stage]]:
    """Builds stages of real sites, which are stopped when the test ends, however it ends."""
    with builder(Stage, Stage.close, tmp_path) as build:
        yield build


@pytest.fixture(scope="session")
def under_attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Light]:
    """Three sites in one long run; each test attacks its open round, and then has it closed by honest uploads."""
    one = Light(light_settings("east", "model", "west"), tmp_path_factory.mktemp("attacked") / "run")
    one.open()
    yield one
    one.shut()
