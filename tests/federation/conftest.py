from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedmol.fl.federation import Settings
from tests.support.stage import AGGREGATOR, Stage, builder, small_settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.federation)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[[Settings], Stage]]:
    """Builds stages that are stopped when the test ends, however it ends."""
    with builder(Stage, Stage.close, tmp_path) as build:
        yield build


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An aggregator that waits for its sites."""
    stage = Stage(small_settings(rounds={"join_deadline": 600}), tmp_path_factory.mktemp("waiting") / "run")
    stage.start(AGGREGATOR)
    stage.wait_until_it_serves()
    yield stage
    stage.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The small federation, run to its end without any disturbance."""
    stage = Stage(small_settings(), tmp_path_factory.mktemp("undisturbed") / "run")
    stage.start()
    codes = {name: stage.wait(name) for name in stage.parties}
    assert codes == dict.fromkeys(stage.parties, 0), "\n".join(stage.log(name) for name in stage.parties)
    yield stage
    stage.close()
