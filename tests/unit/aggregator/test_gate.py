"""Admission and agreement, without a network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from fedmol.chem import vocabulary as vocabularies
from fedmol.errors import Exit, FedmolError
from fedmol.events import EventLog, read
from fedmol.federation.changes import Changes
from fedmol.federation.identity import model_code_digest, peer_name, shared_settings
from fedmol.federation.manifest import manifest_of
from fedmol.federation.messages import Joining, Probe, Progress, Standing, Welcome
from fedmol.federation.settings import Settings, parse
from fedmol.fl.presence import Presence
from fedmol.fl.rounds import RoundRule
from fedmol_aggregator.audit import Audit
from fedmol_aggregator.gate import Gate
from fedmol_aggregator.gathering import Gathering, Roster


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def settings(**changes: Any) -> Settings:
    return parse({"sites": [{"name": "north"}, {"name": "south"}], **changes}, "test")


def census(carbons: int) -> dict[str, list[int]]:
    return {"atoms": [carbons, 1], "bonds": [5, 2], "sizes": [0, 0, 3]}


class Door:
    """A gate with everything behind it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings, self.clock = settings, Clock()
        self.events = EventLog(folder / "events.jsonl", run="r", site="aggregator")
        self.vocabulary = vocabularies.get(settings.model.vocabulary)
        presence = Presence(settings.site_names, 60, self.events, self.clock)
        rule = RoundRule(settings.site_names, settings.quorum, 100, presence, clock=self.clock)
        self.gathering = Gathering(settings, folder / "agreement.json", self.events, self.clock)
        roster = Roster(settings, "r", self.vocabulary, "manifest", "payload")
        changes = Changes(manifest_of("r", settings))
        self.gate = Gate(roster, self.gathering, presence, rule, Audit(self.events), self.events, changes)

    def joining(self, site: str, **changes: Any) -> Joining:
        said: dict[str, Any] = {
            "run": "r",
            "peer": peer_name(site),
            "model_code": model_code_digest(),
            "vocabulary": self.vocabulary.digest(),
            "manifest": "manifest",
            "payload": "payload",
            "settings": shared_settings(self.settings),
            "molecules": 10,
            "census": census(7),
        }
        return Joining(**{**said, **changes})

    def join(self, site: str, certified: str | None = None, **changes: Any) -> Welcome:
        reply = self.gate.join(certified or site, self.joining(site, **changes).encode())
        return Welcome.model_validate_json(reply)

    def kinds(self) -> list[tuple[str, str]]:
        return [(event.kind, event.site) for event in read(self.events.path)]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path, settings())


def test_the_agreement_is_the_sum_once_everyone_is_here(door: Door) -> None:
    assert door.join("north", molecules=30).state == "wait"
    welcome = door.join("south", molecules=10, census=census(3))
    assert welcome.agreement is not None
    assert welcome.agreement.census["atoms"] == [10, 2]
    assert welcome.agreement.molecules == {"north": 30, "south": 10}
    assert door.join("north").agreement == welcome.agreement
    agreed = [event.fields for event in read(door.events.path) if event.kind == "agreement"]
    assert [fields["weights"] for fields in agreed] == [{"north": 0.75, "south": 0.25}]


def test_an_introduction_without_a_shard_is_let_in_but_not_counted(door: Door) -> None:
    assert door.join("north", molecules=0, census=None).state == "wait"
    assert door.join("south").state == "wait"
    assert door.gathering.joined.keys() == {"south"}


def test_the_agreement_survives_a_restart_and_later_sites_do_not_change_it(door: Door, tmp_path: Path) -> None:
    door.join("north")
    agreed = door.join("south").agreement
    again = Door(tmp_path, settings())
    assert again.join("south", census=census(99)).agreement == agreed


def test_a_site_that_comes_after_the_agreement_gets_a_weight_and_changes_nothing_else(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(rounds={"quorum": 1}))
    door.join("north", molecules=30)
    door.clock.now = 121
    agreed = door.join("north").agreement
    late = door.join("south", molecules=10, census=census(99)).agreement
    assert agreed is not None
    assert late is not None
    assert (agreed.molecules, late.molecules) == ({"north": 30}, {"north": 30, "south": 10})
    assert (late.census, late.local_steps) == (agreed.census, agreed.local_steps)
    assert Door(tmp_path, door.settings).gathering.agreement == late


@pytest.mark.parametrize("content", [None, b"{}", b"\x00" * 100, b"[" * 100_000])
def test_a_damaged_or_missing_agreement_is_restored_from_the_log(
    door: Door, tmp_path: Path, content: bytes | None
) -> None:
    door.join("north")
    agreed = door.join("south").agreement
    path = tmp_path / "agreement.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert Door(tmp_path, settings()).gathering.agreement == agreed
    assert [kind for kind, _ in door.kinds()][-2:] == ["state_damaged", "state_rebuilt"]
    assert Door(tmp_path, settings()).gathering.agreement == agreed


def test_a_damaged_agreement_that_the_log_does_not_have_is_named(tmp_path: Path) -> None:
    (tmp_path / "agreement.json").write_text("{}")
    with pytest.raises(FedmolError, match=r"agreement\.json") as caught:
        Door(tmp_path, settings())
    assert caught.value.exit is Exit.STATE_UNUSABLE


def test_another_agreement_than_the_logged_one_is_refused(door: Door, tmp_path: Path) -> None:
    door.join("north")
    door.join("south")
    path = tmp_path / "agreement.json"
    path.write_text(path.read_text().replace("10", "99"))
    with pytest.raises(FedmolError, match="another agreement than the event log has"):
        Door(tmp_path, settings())


def test_the_quorum_agrees_alone_after_the_deadline(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(rounds={"quorum": 1}))
    assert door.join("north").state == "wait"
    door.clock.now = 121
    assert door.join("north").state == "go"


def test_too_few_sites_at_the_deadline_lose_the_quorum(door: Door) -> None:
    door.join("north")
    door.gate.check_quorum(set())
    door.clock.now = 121
    with pytest.raises(FedmolError, match="only 1 of 2 sites have joined") as caught:
        door.gate.check_quorum(set())
    assert caught.value.exit is Exit.QUORUM_LOST


def test_a_time_budget_is_fitted_to_the_slowest_site(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(training={"budget_minutes": 10, "rounds": 6}))
    door.join("north", seconds_per_step=0.1)
    welcome = door.join("south", seconds_per_step=0.5)
    assert welcome.agreement is not None
    assert welcome.agreement.local_steps == 200


@pytest.mark.parametrize(
    ("certified", "changes", "exit"),
    [
        ("south", {}, Exit.CERTIFICATE_OF_ANOTHER_SITE),
        ("north", {"run": "other"}, Exit.UNKNOWN_RUN),
        ("north", {"vocabulary": "0"}, Exit.VOCABULARY_DIFFERS),
        ("north", {"model_code": "0"}, Exit.MODEL_DIFFERS),
        ("north", {"manifest": "0"}, Exit.MODEL_DIFFERS),
        ("north", {"payload": "0"}, Exit.MODEL_DIFFERS),
        ("north", {"settings": {}}, Exit.BAD_SETTINGS),
    ],
)
def test_what_does_not_fit_is_refused_and_logged(
    door: Door, certified: str, changes: dict[str, Any], exit: Exit
) -> None:
    with pytest.raises(FedmolError) as caught:
        door.join("north", certified, **changes)
    assert caught.value.exit is exit
    assert door.kinds() == [("site_refused", certified)]
    assert not door.gathering.joined


def test_a_refusal_that_is_repeated_is_logged_once_in_a_while(door: Door) -> None:
    for _ in range(50):
        with pytest.raises(FedmolError):
            door.join("north", run="other")
    assert door.kinds() == [("site_refused", "north")]


def test_differing_settings_are_named_one_by_one(door: Door) -> None:
    changed = {**shared_settings(door.settings), "training.batch_size": 7, "seed": 3}
    with pytest.raises(FedmolError) as caught:
        door.join("north", settings=changed)
    assert "seed is 3, the federation has 0" in caught.value.message
    assert "training.batch_size is 7" in caught.value.message


def test_nonsense_on_the_wire_is_another_version(door: Door) -> None:
    with pytest.raises(FedmolError) as caught:
        door.gate.join("north", b'{"hello": 1}')
    assert caught.value.exit is Exit.MODEL_DIFFERS


def test_progress_is_logged_when_the_phase_changes_and_not_at_every_pulse(door: Door) -> None:
    def report(phase: str, step: int) -> None:
        progress = Progress(run="r", peer=peer_name("north"), round=1, phase=phase, step=step, steps=9)
        door.gate.report("north", progress.encode())

    for step in range(5):
        report("training", step)
    report("sending", 9)
    door.clock.now = 3
    report("sending", 9)
    shown = [(e.phase, e.fields["step"]) for e in read(door.events.path) if e.kind == "site_progress"]
    assert shown == [("training", 0), ("sending", 9), ("sending", 9)]


def _probe(door: Door, site: str, certified: str) -> Standing:
    return Standing.model_validate_json(door.gate.probe(certified, Probe(peer=peer_name(site)).encode()))


def test_a_probe_answers_what_a_site_must_agree_with_and_leaves_no_trace(door: Door) -> None:
    door.clock.now = 100.0  # both sites are lost by now
    door.gate.presence.lost()
    before = door.kinds()
    standing = _probe(door, "north", "north")
    assert (standing.run, standing.manifest, standing.model_code) == ("r", "manifest", model_code_digest())
    assert standing.settings == shared_settings(door.settings)
    assert standing.time == pytest.approx(time.time(), abs=60)
    assert door.kinds() == before
    assert door.gate.presence.lost() == {"north", "south"}  # who probes is not there yet
    assert door.gathering.joined == {}


def test_a_probe_passes_the_same_checks_as_joining(door: Door) -> None:
    with pytest.raises(FedmolError) as caught:
        _probe(door, "north", "south")
    assert caught.value.exit is Exit.CERTIFICATE_OF_ANOTHER_SITE
    assert door.kinds() == [("site_refused", "south")]
