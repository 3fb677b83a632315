"""Every test belongs to one tier of `make test TIER=...`, and a tier that could not run is named in the end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.tiers import missing, not_run

ROOT = Path(__file__).parents[2]


def test_each_folder_of_tests_stands_in_one_tier() -> None:
    makefile = (ROOT / "Makefile").read_text()
    tiers = re.findall(r"^TIER_(\w+) := (.+)$", makefile, flags=re.MULTILINE)
    (listed,) = re.findall(r"^TIERS := (.+)$", makefile, flags=re.MULTILINE)
    assert listed.split() == [name for name, _ in tiers]
    folders = sorted(folder for _, words in tiers for folder in words.split())
    having = {path.relative_to(ROOT).parts[1] for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders == sorted(f"tests/{name}" for name in having)


def _skipped(reason: str) -> pytest.TestReport:
    place = ("tests/container/test_x.py", 1, f"Skipped: {reason}")
    return pytest.TestReport("x", place, {}, "skipped", place, "setup")


def test_a_tier_that_did_not_run_is_named_with_the_number_of_its_tests(request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.skip.Exception) as skipped:
        missing(request.config, "somewhere", "FEDMOL_NOT_SET", "no engine")
    reports = [_skipped(str(skipped.value)), _skipped(str(skipped.value)), _skipped("too old a kernel")]
    assert not_run(reports) == ["tests/somewhere: no engine: 2 tests"]


def test_a_tier_that_is_demanded_fails(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMOL_SET", "1")
    with pytest.raises(pytest.fail.Exception, match="tests/somewhere has to run, and cannot: no engine"):
        missing(request.config, "somewhere", "FEDMOL_SET", "no engine")


def test_a_tier_that_is_named_on_the_command_line_fails(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request.config, "args", ["tests/somewhere/test_one.py"])
    with pytest.raises(pytest.fail.Exception, match="no engine"):
        missing(request.config, "somewhere", "FEDMOL_NOT_SET", "no engine")
