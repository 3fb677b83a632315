"""Admission and agreement, without a network."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fedmol.chem import vocabulary as vocabularies
from fedmol.chem.standardise import coding_digest
from fedmol.errors import Exit, FedmolError
from fedmol.fl.changes import Changes
from fedmol.fl.engine import Opening
from fedmol.fl.federation import Settings, parse
from fedmol.fl.identity import peer_name, shared_settings
from fedmol.fl.liveness import Liveness
from fedmol.fl.log_anchors import AnchoredLine
from fedmol.fl.messages import (
    Agreement,
    CensusCounts,
    Counts,
    Joining,
    LogAnchor,
    OpeningRequest,
    Probe,
    RoundOpening,
    Standing,
    Welcome,
)
from fedmol.fl.rounds import RoundRule
from fedmol.fl.run_manifest import manifest_of
from fedmol.fl.versions import SEMANTICS
from fedmol.telemetry.events.site_events import AgreementReached, SiteJoined, SiteProgress, SiteRefused
from fedmol.telemetry.log import EventLog, LogPosition, read
from fedmol.telemetry.queries import logged
from fedmol.training.assembly import vocabulary_of
from fedmol_aggregator.agreement import local_steps
from fedmol_aggregator.enrollment import Enrollment, Roster
from fedmol_aggregator.peer_checks import PeerChecks
from fedmol_aggregator.refusal_log import RefusalLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def settings(**changes: Any) -> Settings:
    return parse({"sites": [{"name": "north"}, {"name": "south"}], **changes}, "test")


MANIFEST, PAYLOAD = "1" * 64, "2" * 64


def counts(molecules: int = 10, oxygens: int = 0, shard: int = 0, seconds: float | None = None) -> Counts:
    """Those of so many molecules C-C, of which `oxygens` are C-O."""
    census = CensusCounts(
        atoms=(2 * molecules - oxygens, 0, oxygens, *[0] * 5),
        bonds=(0, 2 * molecules, 0, 0),
        sizes=(0, 0, molecules, *[0] * 7),
    )
    return Counts(molecules=molecules, census=census, shard=f"{shard:064x}", seconds_per_step=seconds)


class Door:
    """A gate with everything behind it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings, self.clock = settings, Clock()
        self.events = EventLog(folder / "events.jsonl", run="r", site="aggregator")
        self.vocabulary = vocabulary_of(settings)
        liveness = Liveness(settings.site_names, 60, self.events, self.clock)
        rule = RoundRule(settings.site_names, settings.quorum, 100, liveness, clock=self.clock)
        self.enrollment = Enrollment(settings, folder / "agreement.json", self.events, self.clock)
        roster = Roster(settings, "r", self.vocabulary, MANIFEST, PAYLOAD)
        changes = Changes(manifest_of("r", settings))
        self.peer_checks = PeerChecks(
            roster, self.enrollment, liveness, rule, RefusalLog(self.events), self.events, changes, self._anchor
        )

    def _anchor(self, line: AnchoredLine) -> LogAnchor:
        return LogAnchor(**asdict(line), certificate="", signature="00")

    def joining(self, site: str, **changes: Any) -> Joining:
        said: dict[str, Any] = {
            "run": "r",
            "peer": peer_name(site),
            "semantics": SEMANTICS,
            "vocabulary": coding_digest(self.vocabulary),
            "manifest": MANIFEST,
            "payload": PAYLOAD,
            "settings": shared_settings(self.settings),
            "counts": counts(),
        }
        return Joining(**{**said, **changes})

    def join(self, site: str, certified: str | None = None, **changes: Any) -> Welcome:
        reply = self.peer_checks.join(certified or site, self.joining(site, **changes).encode())
        return Welcome.model_validate_json(reply)

    def kinds(self) -> list[tuple[str, str]]:
        return [(event.kind, event.site) for event in read(self.events.path)]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path, settings())


def test_the_agreement_is_the_sum_once_everyone_is_here(door: Door) -> None:
    assert door.join("north", counts=counts(30, shard=1)).state == "wait"
    welcome = door.join("south", counts=counts(10, oxygens=3, shard=2))
    assert welcome.agreement is not None
    assert welcome.agreement.census.atoms[:3] == (77, 0, 3)
    assert welcome.agreement.census.sizes[2] == 40
    assert welcome.agreement.molecules == {"north": 30, "south": 10}
    assert welcome.agreement.shards == {"north": f"{1:064x}", "south": f"{2:064x}"}
    assert door.join("north", counts=counts(30, shard=1)).agreement == welcome.agreement
    agreed = logged(door.events.path, AgreementReached)
    assert [event.body.weights for event in agreed] == [{"north": 0.75, "south": 0.25}]


def test_an_introduction_without_a_shard_is_let_in_but_not_counted(door: Door) -> None:
    assert door.join("north", counts=None).state == "wait"
    assert door.join("south").state == "wait"
    assert door.enrollment.joined.keys() == {"south"}


def test_the_agreement_survives_a_restart_and_later_sites_do_not_change_it(door: Door, tmp_path: Path) -> None:
    door.join("north")
    agreed = door.join("south").agreement
    again = Door(tmp_path, settings())
    assert again.join("south").agreement == agreed


@pytest.mark.parametrize("other", [counts(12, shard=0), counts(10, shard=9)], ids=["molecules", "digest"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_site_that_comes_back_with_another_shard_is_refused(
    door: Door, tmp_path: Path, restarted: bool, other: Counts
) -> None:
    door.join("north")
    agreed = door.join("south").agreement
    again = Door(tmp_path, settings()) if restarted else door
    with pytest.raises(FedmolError, match=f"began with 10 molecules.*comes back with {other.molecules}") as caught:
        again.join("north", counts=other)
    assert caught.value.exit is Exit.SHARD_CHANGED
    assert again.kinds()[-1] == ("site_refused", "north")
    assert again.join("north").agreement == agreed


def test_another_shard_that_was_accepted_gets_its_weight_and_changes_nothing_else(door: Door, tmp_path: Path) -> None:
    door.join("north")
    agreed = door.join("south").agreement
    door.enrollment.expect(door.settings, accepted={"north"})
    amended = door.join("north", counts=counts(30, shard=9)).agreement
    assert agreed is not None
    assert amended == agreed.model_copy(
        update={"molecules": {"north": 30, "south": 10}, "shards": {**agreed.shards, "north": f"{9:064x}"}}
    )
    assert Door(tmp_path, settings()).enrollment.agreement == amended


def test_before_the_agreement_the_newest_counts_of_a_site_hold(door: Door) -> None:
    door.join("north", counts=counts(30, shard=1))
    door.join("north", counts=counts(20, shard=2))
    door.join("north", counts=counts(20, shard=2))
    agreed = door.join("south").agreement
    assert agreed is not None
    assert agreed.molecules == {"north": 20, "south": 10}
    assert agreed.census.sizes[2] == 30
    said = [event.body.molecules for event in logged(door.events.path, SiteJoined) if event.site == "north"]
    assert said == [30, 20]


def test_a_site_cannot_fill_the_log_with_ever_other_counts(door: Door) -> None:
    for number in range(2, 18):
        door.join("north", counts=counts(number))
    for number in range(18, 100):
        with pytest.raises(FedmolError, match="16 times with other counts") as caught:
            door.join("north", counts=counts(number))
    assert caught.value.exit is Exit.SHARD_CHANGED
    assert len(door.kinds()) == 17
    assert door.join("south").agreement is not None


def test_a_site_that_comes_after_the_agreement_gets_a_weight_and_changes_nothing_else(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(rounds={"quorum": 1}))
    door.join("north", counts=counts(30, oxygens=1))
    door.clock.now = 121
    agreed = door.join("north", counts=counts(30, oxygens=1)).agreement
    late = door.join("south", counts=counts(10, oxygens=10)).agreement
    assert agreed is not None
    assert late is not None
    assert (agreed.molecules, late.molecules) == ({"north": 30}, {"north": 30, "south": 10})
    assert (late.census, late.local_steps) == (agreed.census, agreed.local_steps)
    assert Door(tmp_path, door.settings).enrollment.agreement == late


def test_nor_can_it_once_the_federation_has_agreed(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(training={"budget_minutes": 10, "rounds": 6}))
    door.join("north", counts=counts(seconds=0.1))
    agreed = door.join("south", counts=counts(seconds=0.1)).agreement
    kinds = door.kinds()
    for number in range(50):
        assert door.join("north", counts=counts(seconds=0.1 + number)).agreement == agreed
        assert door.join("north", counts=counts(oxygens=number % 10, seconds=0.1)).agreement == agreed
    assert door.kinds() == kinds


def test_a_member_that_has_become_slow_is_let_in_again(tmp_path: Path) -> None:
    """The steps are agreed: that it would not be taken in with this speed now does not matter any more."""
    door = Door(tmp_path, settings(training={"budget_minutes": 10, "rounds": 6}))
    door.join("north", counts=counts(seconds=0.1))
    agreed = door.join("south", counts=counts(seconds=0.1)).agreement
    assert Door(tmp_path, door.settings).join("north", counts=counts(seconds=1000.0)).agreement == agreed


def test_a_late_site_with_classes_that_nobody_had_is_refused_and_told_which(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(rounds={"quorum": 1}))
    door.join("north")
    door.clock.now = 121
    agreed = door.join("north").agreement
    with pytest.raises(FedmolError, match="3 atoms O") as caught:
        door.join("south", counts=counts(10, oxygens=3))
    assert caught.value.exit is Exit.VOCABULARY_DIFFERS
    assert "leave the molecules" in caught.value.cure
    assert door.enrollment.agreement == agreed
    assert door.kinds()[-1] == ("site_refused", "south")
    late = door.join("south").agreement
    assert late is not None
    assert late.molecules == {"north": 10, "south": 10}


@pytest.mark.parametrize("content", [None, b"{}", b"\x00" * 100, b"[" * 100_000])
def test_a_damaged_or_missing_agreement_is_restored_from_the_log(
    door: Door, tmp_path: Path, content: bytes | None
) -> None:
    door.join("north")
    agreed = door.join("south").agreement
    path = tmp_path / "agreement.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert Door(tmp_path, settings()).enrollment.agreement == agreed
    assert [kind for kind, _ in door.kinds()][-2:] == ["state_damaged", "state_rebuilt"]
    assert Door(tmp_path, settings()).enrollment.agreement == agreed


def test_a_damaged_agreement_that_the_log_does_not_have_is_named(tmp_path: Path) -> None:
    (tmp_path / "agreement.json").write_text("{}")
    with pytest.raises(FedmolError, match=r"agreement\.json") as caught:
        Door(tmp_path, settings())
    assert caught.value.exit is Exit.STATE_UNUSABLE


def test_another_agreement_than_the_logged_one_is_refused(door: Door, tmp_path: Path) -> None:
    door.join("north")
    door.join("south")
    path = tmp_path / "agreement.json"
    path.write_text(path.read_text().replace('"north": 10', '"north": 99').replace('"north":10', '"north":99'))
    with pytest.raises(FedmolError, match=r"another agreement than events\.jsonl has"):
        Door(tmp_path, settings())


def test_a_file_that_is_one_site_behind_the_log_is_brought_up(tmp_path: Path) -> None:
    """As when the process ended between the two."""
    door = Door(tmp_path, settings(rounds={"quorum": 1}))
    door.join("north")
    door.clock.now = 121
    door.join("north")
    path = tmp_path / "agreement.json"
    before = path.read_text()
    late = door.join("south").agreement
    path.write_text(before)
    kinds = door.kinds()
    assert Door(tmp_path, door.settings).enrollment.agreement == late
    assert Agreement.model_validate_json(path.read_text()) == late
    assert door.kinds() == kinds


def test_the_log_of_a_run_of_protocol_1_is_refused_by_name(door: Door, tmp_path: Path) -> None:
    census = {"atoms": [7, 1], "bonds": [5, 2], "sizes": [0, 0, 3]}
    fields: dict[str, Any] = {
        "molecules": {"north": 10},
        "weights": {"north": 1.0},
        "census": census,
        "local_steps": 60,
    }
    door.events.write(AgreementReached(**fields))
    with pytest.raises(FedmolError, match="an agreement of an earlier protocol") as caught:
        Door(tmp_path, settings())
    assert caught.value.exit is Exit.STATE_UNUSABLE
    assert "the fedmol that began it" in caught.value.cure


def test_the_quorum_agrees_alone_after_the_deadline(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(rounds={"quorum": 1}))
    assert door.join("north").state == "wait"
    door.clock.now = 121
    assert door.join("north").state == "go"


def test_too_few_sites_at_the_deadline_lose_the_quorum(door: Door) -> None:
    door.join("north")
    door.peer_checks.check_quorum(set())
    door.clock.now = 121
    with pytest.raises(FedmolError, match="only 1 of 2 sites have joined") as caught:
        door.peer_checks.check_quorum(set())
    assert caught.value.exit is Exit.QUORUM_LOST


def test_a_time_budget_is_fitted_to_the_slowest_site(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(training={"budget_minutes": 10, "rounds": 6}))
    door.join("north", counts=counts(seconds=0.1))
    welcome = door.join("south", counts=counts(seconds=0.25))
    assert welcome.agreement is not None
    assert welcome.agreement.local_steps == 400


@pytest.mark.parametrize(
    ("seconds", "steps"),
    [((0.1, 0.1, 99.0), 250), ((0.1, 0.2, 0.3), 333), ((0.1, 99.0), 250), ((1e-9, 0.1, 0.1), 1000)],
)
def test_no_site_counts_as_slower_than_four_times_the_lower_median(seconds: tuple[float, ...], steps: int) -> None:
    training = settings(training={"budget_minutes": 10, "rounds": 6}).training
    assert local_steps(training, seconds) == steps


@pytest.mark.parametrize(("seconds", "exit"), [(None, Exit.MESSAGE_REFUSED), (100.1, Exit.BAD_SETTINGS)])
def test_a_site_without_a_speed_or_with_less_than_a_step_a_round_is_refused(
    tmp_path: Path, seconds: float | None, exit: Exit
) -> None:
    door = Door(tmp_path, settings(training={"budget_minutes": 10, "rounds": 6}))
    with pytest.raises(FedmolError, match="budget_minutes") as caught:
        door.join("north", counts=counts(seconds=seconds))
    assert caught.value.exit is exit
    assert not door.enrollment.joined


@pytest.mark.parametrize(
    ("certified", "changes", "exit"),
    [
        ("south", {}, Exit.CERTIFICATE_OF_ANOTHER_SITE),
        ("north", {"run": "other"}, Exit.UNKNOWN_RUN),
        ("north", {"vocabulary": "0" * 64}, Exit.VOCABULARY_DIFFERS),
        ("north", {"semantics": SEMANTICS + 1}, Exit.MODEL_DIFFERS),
        ("north", {"manifest": "0" * 64}, Exit.MODEL_DIFFERS),
        ("north", {"payload": "0" * 64}, Exit.MODEL_DIFFERS),
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
    assert not door.enrollment.joined


def test_a_site_of_another_recipe_is_refused_and_told_which(tmp_path: Path) -> None:
    door = Door(tmp_path, settings(data={"standardise": "parent"}))
    with pytest.raises(FedmolError, match=r"other graphs(.|\n)*data\.standardise to parent.*RDKit 20") as caught:
        door.join("north", vocabulary=vocabularies.get("qm9-charged").digest())
    assert caught.value.exit is Exit.VOCABULARY_DIFFERS
    assert not door.enrollment.joined


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


@pytest.mark.parametrize(
    ("request_", "exit"),
    [
        (b'{"hello": 1}', Exit.PROTOCOL_DIFFERS),
        (b'{"hello": 1, "protocol": "2.0"}', Exit.MESSAGE_REFUSED),
        (b'{"protocol": 2}', Exit.MESSAGE_REFUSED),
        (b'{"protocol": "3.1"}', Exit.PROTOCOL_DIFFERS),
        (b"[" * 60_000, Exit.MESSAGE_REFUSED),
        (b'{"protocol":' * 5_000, Exit.MESSAGE_REFUSED),
        (b"\xff\x00", Exit.MESSAGE_REFUSED),
        (b"", Exit.MESSAGE_REFUSED),
        (b"7", Exit.MESSAGE_REFUSED),
    ],
)
def test_nonsense_on_the_wire_refuses_its_sender_by_name(door: Door, request_: bytes, exit: Exit) -> None:
    with pytest.raises(FedmolError) as caught:
        door.peer_checks.join("north", request_)
    assert caught.value.exit is exit
    assert len(caught.value.message) < 500
    assert door.kinds() == [("site_refused", "north")]


def _report(door: Door, **said: Any) -> None:
    document = {"protocol": "2.0", "run": "r", "peer": peer_name("north"), "round": 1, "phase": "training", **said}
    door.peer_checks.report("north", json.dumps(document).encode(), 1)


def test_progress_is_logged_when_the_phase_changes_and_not_at_every_pulse(door: Door) -> None:
    for step in range(5):
        _report(door, step=step, steps=9)
    _report(door, phase="sending", step=9, steps=9)
    door.clock.now = 4
    _report(door, phase="sending", step=9, steps=9)
    shown = [(event.phase, event.body.step) for event in logged(door.events.path, SiteProgress)]
    assert shown == [("training", 0), ("sending", 9), ("sending", 9)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phase", "dreaming"),
        ("phase", "x" * 60_000),
        ("phase", None),
        ("step", 10**400),
        ("step", -1),
        ("step", True),
        ("step", 1.5),
        ("steps", "9"),
        ("loss", float("nan")),
        ("loss", float("inf")),
        ("loss", "2.5"),
        ("seconds_left", [1]),
        ("round", 0),
        ("round", 2**63),
        ("model_digest", "ab"),
        ("surprise", 1),
        ("run", "r" * 200),
    ],
)
def test_a_report_that_says_more_than_it_may_is_refused_by_name(door: Door, field: str, value: Any) -> None:
    with pytest.raises(FedmolError, match=field) as caught:
        _report(door, **{field: value})
    assert caught.value.exit is Exit.MESSAGE_REFUSED
    (event,) = logged(door.events.path, SiteRefused)
    assert event.site == "north"
    assert len(event.body.detail) < 400


def _probe(door: Door, site: str, certified: str) -> Standing:
    return Standing.model_validate_json(door.peer_checks.probe(certified, Probe(peer=peer_name(site)).encode()))


def test_a_probe_answers_what_a_site_must_agree_with_and_leaves_no_trace(door: Door) -> None:
    door.clock.now = 100.0  # both sites are lost by now
    door.peer_checks.liveness.lost()
    before = door.kinds()
    standing = _probe(door, "north", "north")
    assert (standing.run, standing.manifest, standing.semantics) == ("r", MANIFEST, SEMANTICS)
    assert standing.settings == shared_settings(door.settings)
    assert standing.time == pytest.approx(time.time(), abs=60)
    assert door.kinds() == before
    assert door.peer_checks.liveness.lost() == {"north", "south"}  # who probes is not there yet
    assert door.enrollment.joined == {}


def test_a_probe_passes_the_same_checks_as_joining(door: Door) -> None:
    with pytest.raises(FedmolError) as caught:
        _probe(door, "north", "south")
    assert caught.value.exit is Exit.CERTIFICATE_OF_ANOTHER_SITE
    assert door.kinds() == [("site_refused", "south")]


def test_a_site_whose_vocabulary_has_the_same_name_and_other_atoms_is_told_what_differs(tmp_path: Path) -> None:
    ours = {"name": "ours", "atoms": ["C", "N", "O"], "max_atoms": 12}
    door = Door(tmp_path, settings(model={"vocabulary": ours}))
    theirs = settings(model={"vocabulary": {**ours, "atoms": ["C", "N", "P"]}})
    digest = coding_digest(vocabulary_of(theirs))
    with pytest.raises(FedmolError, match=r"atoms is 'C N P', the federation has 'C N O'") as caught:
        door.join("north", counts=None, vocabulary=digest, settings=shared_settings(theirs))
    assert caught.value.exit is Exit.VOCABULARY_DIFFERS


@pytest.mark.parametrize("closing", [None, LogPosition(11, "b" * 64)])
def test_an_opening_comes_with_the_anchor_of_the_round_before(door: Door, closing: LogPosition | None) -> None:
    opening = Opening(4, {"model": "a" * 64}, 3, None, 1, closing)
    asked = OpeningRequest(run="r", peer=peer_name("north"))
    said = RoundOpening.model_validate_json(door.peer_checks.opening("north", asked.encode(), opening))
    line = said.anchor and AnchoredLine.of(said.anchor)
    assert line == (closing and AnchoredLine("r", 3, 11, "b" * 64, "a" * 64))
