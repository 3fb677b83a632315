from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fedmol.fl.strategies import FedAvg, Strategy
from tests.support.in_memory import Build, Federation


@pytest.fixture
def federation(tmp_path: Path) -> Build:
    """Builds federations, each in a folder of its own; by default three sites, FedAvg and four rounds."""
    built: list[Federation] = []

    def build(molecules: Mapping[str, int] | None = None, strategy: Strategy | None = None, **terms: Any) -> Federation:
        built.append(
            Federation(
                tmp_path / str(len(built)), molecules or {"a": 10, "b": 30, "c": 60}, strategy or FedAvg(), **terms
            )
        )
        return built[-1]

    return build
