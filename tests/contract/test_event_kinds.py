"""Every kind of event that is documented is written by a program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedmol.telemetry.events import KINDS

ROOT = Path(__file__).parents[2]
PROGRAMS = ("shared/fedmol/fl", "aggregator/fedmol_aggregator", "collaborator/fedmol_collaborator")
SOURCES = "\n".join(path.read_text() for folder in PROGRAMS for path in sorted((ROOT / folder).rglob("*.py")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_writes_it(kind: str) -> None:
    assert re.search(rf"\b{KINDS[kind].__name__}\(", SOURCES)
