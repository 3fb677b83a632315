from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings, parse
from fedmol.fl.messages import Agreement, CensusCounts, Counts, RoundOpening
from fedmol.fl.payload import Section, vector_digest
from fedmol.telemetry.events.round_events import RoundOpened
from fedmol.telemetry.log import EventLog
from fedmol_collaborator import agreement_checks
from fedmol_collaborator.agreement_checks import Own
from fedmol_collaborator.task_checks import TaskChecks, check_values

OWN = Counts(
    molecules=3,
    census=CensusCounts(atoms=(5, 1), bonds=(6, 4), sizes=(0, 1, 1, 1)),
    seconds_per_step=0.5,
    shard="1" * 64,
)
AGREED: dict[str, Any] = {
    "census": {"atoms": [9, 1], "bonds": [12, 8], "sizes": [0, 2, 2, 2]},
    "molecules": {"north": 3, "south": 3},
    "local_steps": 4,
    "shards": {"north": "1" * 64, "south": "2" * 64},
}


@pytest.fixture
def events(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl", run="r", site="north")


def _settings(**training: Any) -> Settings:
    sites = [{"name": "north"}, {"name": "south"}]
    return parse({"sites": sites, "training": {"rounds": 3, "local_steps": 4, **training}}, "test")


def _agreement(**changes: Any) -> Agreement:
    return Agreement.model_validate({**AGREED, **changes}, strict=False)


def _check(events: EventLog, agreement: Agreement, late: bool = False, accepted: Any = (), **training: Any) -> None:
    agreement_checks.check(agreement, Own("north", OWN, late), _settings(**training), events, accepted)


def _refused(events: EventLog, agreement: Agreement, **more: Any) -> str:
    with pytest.raises(FedmolError) as caught:
        _check(events, agreement, **more)
    assert caught.value.exit is Exit.AGREEMENT_BROKEN
    return caught.value.message


def test_what_was_agreed_is_taken_and_only_once_in_the_log(events: EventLog) -> None:
    for _ in range(2):
        _check(events, _agreement())
    assert events.path.read_text().count('"agreed"') == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"local_steps": 5}, "5 local steps"),
        ({"molecules": {"north": 4, "south": 3}}, "4 molecules of north"),
        ({"shards": {"north": "3" * 64}}, "the shard 333333333333 of north"),
        ({"census": {**AGREED["census"], "atoms": [4, 1]}}, "4 of atoms in class 0"),
        ({"census": {**AGREED["census"], "atoms": [9, 1, 1]}}, "3 classes of atoms"),
        ({"census": {**AGREED["census"], "sizes": [0, 2, 2, 200]}}, "a census of 204"),
    ],
)
def test_what_was_not_is_named(events: EventLog, changes: dict[str, Any], named: str) -> None:
    assert named in _refused(events, _agreement(**changes))
    assert "agreed" not in events.path.read_text()


def test_a_site_that_came_late_needs_its_classes_to_be_possible(events: EventLog) -> None:
    few = {**AGREED["census"], "atoms": [1, 1]}
    none = {**AGREED["census"], "atoms": [9, 0]}
    assert "0 of atoms in class 1" in _refused(events, _agreement(census=none), late=True)
    _check(events, _agreement(census=few), late=True)


def test_steps_that_are_fitted_to_a_time_are_those_of_this_machine_at_most_four_times(events: EventLog) -> None:
    budget: dict[str, Any] = {"budget_minutes": 0.5}  # 10 s a round, 20 steps here
    assert "takes at most 80 a round" in _refused(events, _agreement(local_steps=81), **budget)
    _check(events, _agreement(local_steps=80), **budget)


def test_a_later_start_is_told_the_same_but_for_sites_that_came_late(events: EventLog) -> None:
    _check(events, _agreement())
    more = {"molecules": {**AGREED["molecules"], "west": 9}, "shards": {**AGREED["shards"], "west": "4" * 64}}
    _check(events, _agreement(**more))
    assert "none of west" in _refused(events, _agreement())
    other = {**more, "shards": {**more["shards"], "south": "5" * 64}}
    assert "of south" in _refused(events, _agreement(**other))
    _check(events, _agreement(**other), accepted={"south"})
    assert "the census" in _refused(
        events,
        _agreement(**other, census={**AGREED["census"], "atoms": [10, 1]}),
    )


def _opening(round: int, model: str = "a") -> RoundOpening:
    digests = {"model": model * 64}
    return RoundOpening(round=round, digests=digests, last_counted=None, reason=None, members_since=1)


def test_rounds_go_on_in_order_each_from_one_model_and_over_restarts(events: EventLog) -> None:
    rounds = [3]
    task_checks = TaskChecks(lambda: rounds[0], events)
    for number in (1, 2, 2):
        task_checks.open(_opening(number))
        events.write(RoundOpened(model_digest="a" * 64, digests={"model": "a" * 64}, counted=None), round=number)
    for one in (task_checks, TaskChecks(lambda: rounds[0], events)):
        for wrong in (_opening(1), _opening(2, "b"), _opening(5)):
            with pytest.raises(FedmolError) as caught:
                one.open(wrong)
            assert caught.value.exit is Exit.AGREEMENT_BROKEN
    rounds[0] = 5
    task_checks.open(_opening(5))
    with pytest.raises(FedmolError, match="the end of the run in round 5; agreed were 5 rounds"):
        task_checks.check_end(5)
    task_checks.open(_opening(6))
    task_checks.check_end(6)
    with pytest.raises(FedmolError, match="work in round 6"):
        task_checks.check_begun(6)


def test_values_are_those_that_were_said_and_finite() -> None:
    section, values = Section("model", 4), np.arange(4, dtype=np.float32)
    said = RoundOpening(
        round=1, digests={"model": vector_digest(values)}, last_counted=None, reason=None, members_since=1
    )
    check_values(section, values.tobytes(), vector_digest(values), said)
    for wrong in (values[:3], values + 1):
        with pytest.raises(FedmolError, match="agreed were"):
            check_values(section, wrong.tobytes(), vector_digest(wrong), said)
    for bad in (np.nan, np.inf, -np.inf):
        values[2] = bad
        said = said.model_copy(update={"digests": {"model": vector_digest(values)}})
        with pytest.raises(FedmolError, match="not finite"):
            check_values(section, values.tobytes(), vector_digest(values), said)
