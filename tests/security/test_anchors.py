"""Signatures of the aggregator's log that cannot be true: the site ends, and has trained nothing for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fedmol.errors import Exit
from fedmol.fl.federation import Settings
from fedmol.fl.tasks import TRAIN
from fedmol.telemetry.events.round_events import LogAnchored
from tests.support.scripted import SITE, Answer, Honest, ScriptedAggregator, one_site
from tests.support.stage import Stage

Build = Callable[[Settings], Stage]


def _anchor(**said: Any) -> Answer:
    """From round 2 on the opening comes with these entries in its anchor."""

    def answer(honest: Honest) -> Any:
        document = honest().model_dump(mode="json")
        if document["anchor"] is not None:
            document["anchor"] |= said
        return json.dumps(document).encode()

    return answer


@pytest.mark.parametrize(
    ("answer", "exit", "named"),
    [
        pytest.param(_anchor(head="f" * 64), Exit.AGREEMENT_BROKEN, "its signature is wrong", id="another-line"),
        pytest.param(_anchor(certificate="x" * 2**20), Exit.MESSAGE_REFUSED, "anchor.certificate", id="oversized"),
    ],
)
def test_a_false_anchor_ends_the_site(stage: Build, answer: Answer, exit: Exit, named: str) -> None:
    run = stage(one_site())
    with ScriptedAggregator(run, {"Opening": answer}) as one:
        run.start(SITE)
        assert run.wait(SITE) == exit, run.log(SITE)
        assert named in run.parties[SITE].last_words()
        assert [round for round, task in one.uploads if task == TRAIN.name] == [1]
    assert run.events(LogAnchored, SITE) == []


def test_an_aggregator_of_the_former_protocol_sends_none_and_the_site_goes_on(stage: Build) -> None:
    def former(honest: Honest) -> Any:
        document = honest().model_dump(mode="json", exclude={"anchor"})
        return json.dumps({**document, "protocol": "2.0"}).encode()

    run = stage(one_site())
    with ScriptedAggregator(run, {"Opening": former}) as one:
        run.start(SITE)
        assert run.wait(SITE) == 0, run.log(SITE)
        assert [round for round, task in one.uploads if task == TRAIN.name] == [1, 2, 3]
    assert run.events(LogAnchored, SITE) == []
