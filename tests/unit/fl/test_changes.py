"""What the coordinator may change while a run goes on, and what nobody may."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.changes import Change, Changes, read_signed, require_in_time, sign
from fedmol.fl.federation import Settings, parse
from fedmol.fl.messages import SignedChange
from fedmol.fl.run_manifest import manifest_of, settings_of
from fedmol.pki import certificates

RUN = "trial-1"


def federation(**changes: Any) -> Settings:
    sites = [{"name": name} for name in ("east", "north", "south", "west")]
    return parse({"sites": sites, "training": {"rounds": 8}, "rounds": {"quorum": 2}, **changes}, "test")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority") / "ca"
    certificates.make_ca(folder, "fedmol", timedelta(days=1))
    return folder


class Coordinator:
    def __init__(self, authority: Path) -> None:
        self.authority = authority
        self.changes = Changes(manifest_of(RUN, federation()))

    def signed(self, **entries: Any) -> SignedChange:
        document = {
            "run": RUN,
            "number": len(self.changes.signed) + 1,
            "previous": self.changes.digest,
            "round": 3,
            **entries,
        }
        return sign(Change.model_validate(document), self.authority / "ca.key", None)

    def take(self, signed: SignedChange) -> Change:
        return self.changes.take(signed, self.authority / "ca.crt")

    def refusal(self, signed: SignedChange) -> FedmolError:
        before = (list(self.changes.signed), self.changes.latest)
        with pytest.raises(FedmolError) as caught:
            self.take(signed)
        assert (list(self.changes.signed), self.changes.latest) == before
        return caught.value


@pytest.fixture
def coordinator(authority: Path) -> Coordinator:
    return Coordinator(authority)


def test_a_manifest_gives_back_the_settings_it_was_made_of() -> None:
    settings = federation(strategy={"name": "fedadam", "tau": 0.1}, local_method={"name": "fedprox", "mu": 0.5})
    assert manifest_of(RUN, settings_of(manifest_of(RUN, settings))) == manifest_of(RUN, settings)


@pytest.mark.parametrize(
    "wrong", [{}, {"sites": 3}, {"sites": ["north"], "run": "r", "seed": -1}, {"sites": ["north"], "a.b.c": 1}, {"": 1}]
)
def test_what_is_no_manifest_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FedmolError) as caught:
        settings_of(wrong)
    assert caught.value.exit is Exit.STATE_UNUSABLE


def test_changes_hold_from_their_rounds_on(coordinator: Coordinator) -> None:
    coordinator.take(coordinator.signed(round=3, remove=("east",), quorum=3))
    coordinator.take(coordinator.signed(round=5, add=("new",), rounds=12, deadline=60.0))
    at = coordinator.changes.at
    assert at(2).site_names == ["east", "north", "south", "west"]
    assert (at(3).site_names, at(3).quorum) == (["north", "south", "west"], 3)
    assert (at(4).training.rounds, at(5).training.rounds) == (8, 12)
    assert (at(5).site_names, at(5).rounds.deadline) == (["north", "south", "west", "new"], 60.0)
    assert coordinator.changes.latest == at(5) == at(100)
    assert coordinator.changes.lengths == ((1, 8), (5, 12))
    assert coordinator.changes.everybody == {"east", "north", "south", "west", "new"}


def test_who_knows_some_changes_takes_the_rest(coordinator: Coordinator, authority: Path) -> None:
    for signed in (coordinator.signed(quorum=3),):
        coordinator.take(signed)
    site = Coordinator(authority)
    known = list(coordinator.changes.signed)
    assert len(site.changes.take_all(known, authority / "ca.crt")) == 1
    coordinator.take(coordinator.signed(rounds=9))
    fresh = site.changes.take_all(coordinator.changes.signed, authority / "ca.crt")
    assert [change.number for change in fresh] == [2]
    with pytest.raises(FedmolError, match="not those that were known"):
        site.changes.take_all(known, authority / "ca.crt")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({}, "changes nothing"),
        ({"rounds": 8}, "more than that"),
        ({"rounds": 3}, "more than that"),
        ({"remove": ("nobody",)}, "nobody cannot be removed"),
        ({"add": ("north",)}, "north cannot be added"),
        ({"accept_shards": ("nobody",)}, "nobody cannot be accepted"),
        ({"quorum": 5}, "there are only 4 sites"),
        ({"remove": ("east", "north", "south")}, "there are only 1 sites"),
        ({"remove": ("east", "north", "south", "west")}, "no site would be left"),
        ({"round": 9, "quorum": 3}, "the run has 8"),
        ({"number": 2, "quorum": 3}, "the next one is 1"),
        ({"run": "trial-2", "quorum": 3}, "for run 'trial-2'"),
        ({"previous": "0" * 64, "quorum": 3}, "another state of the run"),
    ],
)
def test_what_does_not_follow_is_refused(coordinator: Coordinator, entries: dict[str, Any], said: str) -> None:
    error = coordinator.refusal(coordinator.signed(**entries))
    assert error.exit is Exit.CHANGE_REFUSED
    assert said in error.message


def test_a_change_does_not_overtake_the_one_before(coordinator: Coordinator) -> None:
    coordinator.take(coordinator.signed(round=5, quorum=3))
    assert "before change 1" in coordinator.refusal(coordinator.signed(round=4, quorum=2)).message


@pytest.mark.parametrize("place", [0, -1])
def test_a_signature_that_is_not_the_authority_s_is_refused(coordinator: Coordinator, place: int) -> None:
    signed = coordinator.signed(quorum=3)
    wrong = list(bytes.fromhex(signed.signature))
    wrong[place] ^= 1
    forged = signed.model_copy(update={"signature": bytes(wrong).hex()})
    assert coordinator.refusal(forged).exit is Exit.CERTIFICATE_FOREIGN
    another = signed.model_copy(update={"document": signed.document.replace("3", "4")})
    assert coordinator.refusal(another).exit is Exit.CERTIFICATE_FOREIGN


def test_another_authority_s_signature_is_refused(coordinator: Coordinator, tmp_path: Path) -> None:
    certificates.make_ca(tmp_path / "other", "fedmol", timedelta(days=1))
    stranger = Coordinator(tmp_path / "other")
    assert coordinator.refusal(stranger.signed(quorum=3)).exit is Exit.CERTIFICATE_FOREIGN


@pytest.mark.parametrize("entries", [{"training.learning_rate": 1}, {"seed": 3}, {"strategy": "fedadam"}])
def test_nothing_else_can_be_said(entries: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        Change.model_validate({"run": RUN, "number": 1, "previous": "", "round": 3, **entries})


@pytest.mark.parametrize(
    ("entries", "open_round", "in_time"),
    [
        ({"quorum": 3}, 3, True),
        ({"remove": ("east",)}, 3, True),
        ({"remove": ("east",)}, 4, False),
        ({"rounds": 9}, 3, False),
        ({"add": ("new",)}, 3, False),
        ({"add": ("new",), "rounds": 9}, 2, True),
    ],
)
def test_what_sites_train_by_cannot_begin_in_the_middle_of_a_round(
    coordinator: Coordinator, entries: dict[str, Any], open_round: int, in_time: bool
) -> None:
    change = coordinator.take(coordinator.signed(round=3, **entries))
    if in_time:
        require_in_time(change, open_round)
    else:
        with pytest.raises(FedmolError, match="from round 3 on"):
            require_in_time(change, open_round)


@pytest.mark.parametrize("signature", ["", "a", "abc", "0" * 1025, "xy", "AB"])
def test_a_signature_that_is_no_row_of_bytes_is_refused_with_its_file(tmp_path: Path, signature: str) -> None:
    path = tmp_path / "0001.json"
    path.write_text(json.dumps({"protocol": "2.0", "document": "{}", "signature": signature}))
    with pytest.raises(FedmolError, match=r"0001\.json is not a signed change"):
        read_signed(path)


def test_what_is_no_file_is_no_change_and_nothing_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "missing"):
        with pytest.raises(FedmolError) as caught:
            read_signed(path)
        assert caught.value.exit is Exit.CHANGE_REFUSED
