from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks import origin, sizes

FOLDER = origin.ROOT / "docs/results"


def test_the_page_is_what_the_data_says() -> None:
    figures = json.loads((FOLDER / "sizes.json").read_text())
    assert (FOLDER / "sizes.md").read_text() == sizes.render(figures)


def test_what_is_linked_counts_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/one").write_bytes(b"x" * 1000)
    os.link(tmp_path / "folder/one", tmp_path / "same")
    (tmp_path / "link").symlink_to("same")
    (tmp_path / "two").write_bytes(b"y" * 24)
    assert sizes.size_of(tmp_path) == 1024


def test_the_page_names_what_is_gone_and_what_was_not_measured() -> None:
    told = {"command": sizes.COMMAND, "commit": "a" * 40, "machine": "one"}
    page = sizes.render(
        {
            "library/megabytes": {"value": 1000.4, **told},
            "library/packages": {"value": 2, "names": ["rdkit", "torch"], **told},
            "before/library/megabytes": {"value": 1500.0, **told},
            "before/library/packages": {"value": 3, "names": ["docker", "rdkit", "torch"], **told},
        }
    )
    assert "| the library | 1,000 | 2 | 1,500 | 3 |" in page
    assert "| image of the aggregator | not measured | not measured | not measured | not measured |" in page
    assert "An installation of the library does without `docker`.\n" in page
