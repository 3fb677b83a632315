"""Tests that need an engine or a cluster: they run, they fail, or the end of the output says that they did not run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

import pytest

_NOT_RUN = "not run: "


def missing(config: pytest.Config, tier: str, variable: str, what: str) -> NoReturn:
    """Fails if `tests/<tier>` is named on the command line or `variable` demands it, and skips its tests otherwise."""
    folder = f"tests/{tier}"
    if os.environ.get(variable) or any(folder in argument for argument in config.args):
        pytest.fail(f"{folder} has to run, and cannot: {what}")
    pytest.skip(f"{_NOT_RUN}{folder}: {what}")


def not_run(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """A line for each tier that did not run, with the number of its tests and why."""
    reasons = (report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple))
    found = Counter(reason.partition(_NOT_RUN)[2] for reason in reasons if _NOT_RUN in reason)
    return [f"{reason}: {count} {'test' if count == 1 else 'tests'}" for reason, count in sorted(found.items())]
