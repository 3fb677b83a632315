"""Committed files that follow from others are as they would be generated now."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tools.generate import ROOT, SOURCES, Source, main

NAMES = [source.name for source in SOURCES]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_nothing_committed_is_stale(source: Source) -> None:
    if source.name == "manifests" and importlib.util.find_spec("helm_sdkpy") is None:
        pytest.skip("Helm's library is not installed: make test does it, for Linux on x86_64")
    assert [str(path) for path in source.stale(ROOT)] == [], "run: make generate"


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """The second follows from the first; beside both lies a file that is made no longer."""
    first, second, left = Path("first.txt"), Path("made/second.txt"), Path("made/left.txt")
    (tmp_path / "made").mkdir()
    for path in (first, second, left):
        (tmp_path / path).write_text("old")

    def copy() -> dict[Path, str]:
        return {second: (tmp_path / first).read_text()}

    return [Source("one", lambda: {first: "new"}), Source("two", copy, ("made/*",))]


def _texts(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.txt")}


def test_a_check_names_what_is_stale_and_changes_nothing(
    sources: list[Source], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _texts(tmp_path)
    assert main(["--check"], tmp_path, sources) == 1
    assert capsys.readouterr().out.splitlines() == ["first.txt (one)", "made/left.txt (two)"]
    assert _texts(tmp_path) == before


def test_what_follows_from_a_stale_file_is_made_of_the_new_one(sources: list[Source], tmp_path: Path) -> None:
    assert main([], tmp_path, sources) == 0
    assert _texts(tmp_path) == {"first.txt": "new", "made/second.txt": "new"}
    assert main(["--check"], tmp_path, sources) == 0


def test_a_word_that_it_does_not_know_changes_nothing(sources: list[Source], tmp_path: Path) -> None:
    before = _texts(tmp_path)
    assert main(["--dry-run"], tmp_path, sources) == 2
    assert _texts(tmp_path) == before
