"""What the programs write is what the records of events know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmol.telemetry.events import KINDS

ROOT = Path(__file__).parents[2]
_HEAD = {"site", "round", "phase"}
_WRITER = r"(.+\.)?events\.write|(.+\.)?repeats\.note|self\.write"


def _written() -> Iterator[tuple[str, str, set[str]]]:
    """Where an event of what kind is written with what fields, as far as the call says so itself."""
    for package in ("shared", "aggregator", "collaborator"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                    continue
                first = node.args[0]
                if re.fullmatch(_WRITER, ast.unparse(node.func)) and isinstance(first, ast.Constant):
                    fields = {word.arg for word in node.keywords if word.arg is not None}
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", str(first.value), fields - _HEAD


WRITTEN = list(_written())


@pytest.mark.parametrize(("place", "kind", "fields"), WRITTEN, ids=[place for place, _, _ in WRITTEN])
def test_an_event_has_the_fields_of_its_record(place: str, kind: str, fields: set[str]) -> None:
    assert kind in KINDS, place
    assert fields <= KINDS[kind].model_fields.keys(), place
