from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedmol.errors import Exit, FedmolError

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "errors"


@pytest.mark.parametrize("exit", list(Exit), ids=lambda exit: exit.slug)
def test_every_code_has_a_page_that_says_cause_and_cure(exit: Exit) -> None:
    text = (ROOT / exit.page).read_text()
    assert text.startswith(f"# {exit.value}: ")
    for part in ("**Who sees it:**", "## Likely causes\n\n- ", "## Cure\n\n- "):
        assert part in text


def test_no_page_is_orphaned() -> None:
    pages = {f"docs/errors/{path.name}" for path in PAGES.glob("*.md")} - {"docs/errors/README.md"}
    assert pages == {exit.page for exit in Exit}


def test_the_table_lists_every_code_once_and_links_its_page() -> None:
    rows = re.findall(
        r"^\| (\d+) \| \[([a-z-]+)\]\(([^)]+)\) \|", (PAGES / "README.md").read_text(), flags=re.MULTILINE
    )
    assert rows == [(str(exit.value), exit.slug, Path(exit.page).name) for exit in Exit]


def test_an_error_names_its_cure_its_page_and_its_code() -> None:
    said = str(FedmolError(Exit.BAD_DATA, "line 3 is no molecule", "correct line 3"))
    for part in ("line 3 is no molecule", "correct line 3", "docs/errors/011-bad-data.md", "exit code 11"):
        assert part in said
