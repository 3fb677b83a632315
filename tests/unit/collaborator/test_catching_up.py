"""A site whose round was closed while it was away goes on with the open one, and not for ever without work."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from openfl.federated import Plan

from fedmol.errors import Exit, FedmolError
from fedmol_collaborator.openfl_adapter import collaborator
from fedmol_collaborator.openfl_adapter.client import StaleRound
from tests.support.site import RUN, SITE, settings_of_a_site


class Work:
    """Stands for OpenFL's collaborator: meets stale rounds, in some of which the site sends something first."""

    def __init__(self, task_checks: SimpleNamespace, stale: int, working: int) -> None:
        self.task_checks, self.left, self.working = task_checks, stale, working

    def run(self) -> None:
        if not self.left:
            return
        self.left -= 1
        if self.working and self.left % self.working == 0:
            self.task_checks.sent += 1
        raise StaleRound("round 9 is open")


def _take_part(monkeypatch: pytest.MonkeyPatch, stale: int, working: int = 0) -> list[str]:
    """The phases of a site that meets so many stale rounds, and sends something in each `working`-th."""
    task_checks, phases = SimpleNamespace(sent=0), list[str]()
    monkeypatch.setattr(collaborator, "_BETWEEN_STALE_ROUNDS", 0.0)
    monkeypatch.setattr(collaborator, "SiteTaskRunner", lambda training: training)
    monkeypatch.setattr(Plan, "get_collaborator", lambda *_, **__: Work(task_checks, stale, working))
    client: Any = SimpleNamespace(task_checks=task_checks)
    training: Any = SimpleNamespace(reporter=SimpleNamespace(phase=phases.append), stop=threading.Event())
    collaborator.take_part(settings_of_a_site(), RUN, SITE, client, training)
    return phases


def test_it_catches_up_after_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _take_part(monkeypatch, 3) == ["catching up"] * 3
    assert _take_part(monkeypatch, 0) == []


def test_stale_rounds_without_any_work_between_them_end_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    most = collaborator._MOST_STALE_ROUNDS
    assert len(_take_part(monkeypatch, most)) == most
    with pytest.raises(FedmolError, match="round 9 is open") as refused:
        _take_part(monkeypatch, most + 1)
    assert refused.value.exit is Exit.AGREEMENT_BROKEN


def test_a_slow_site_that_works_between_them_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(_take_part(monkeypatch, 5 * collaborator._MOST_STALE_ROUNDS, working=2)) > 0
