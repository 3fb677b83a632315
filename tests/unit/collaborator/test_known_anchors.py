"""What a site keeps of the aggregator's log: each round once, and nothing that cannot be true."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.log_anchors import AnchoredLine, kept
from fedmol.fl.messages import LogAnchor, RoundOpening
from fedmol.telemetry.events.round_events import LogAnchored
from fedmol.telemetry.log import EventLog
from fedmol.telemetry.queries import logged
from fedmol_collaborator.known_anchors import KnownAnchors
from tests.support.signed_history import Authority

RUN, HOST = "trial", "fl.example.org"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("trust"))


class Site:
    """`restart` begins again with what is in the log."""

    def __init__(self, folder: Path, trust: Authority) -> None:
        self.trust, self.path = trust, folder / "events.jsonl"
        self.restart()

    def restart(self, run: str = RUN, address: str = HOST) -> None:
        self.events = EventLog(self.path, run=run, site="north")
        self.anchors = KnownAnchors(run, address, self.trust.certificate, self.events)

    def open(self, round: int, anchor: LogAnchor | None, protocol: str = "2.1", model: str = "") -> None:
        digests = {"model": model or f"{round - 1:x}" * 64}
        said: dict[str, Any] = {"round": round, "digests": digests, "last_counted": None, "reason": None}
        self.anchors.take(RoundOpening(protocol=protocol, members_since=1, anchor=anchor, **said))

    def anchor(self, about: int, **said: Any) -> LogAnchor:
        line = AnchoredLine(RUN, about, 10 * about, f"{about:064x}", f"{about:x}" * 64)
        return self.trust.anchor(replace(line, **said))

    def kept(self) -> list[int]:
        return [kept(event).round for event in logged(self.path, LogAnchored)]

    def refusal(self, round: int, anchor: LogAnchor | None, **more: Any) -> str:
        before = self.path.read_bytes()
        with pytest.raises(FedmolError) as caught:
            self.open(round, anchor, **more)
        assert caught.value.exit is Exit.AGREEMENT_BROKEN
        assert self.path.read_bytes() == before
        return caught.value.message


@pytest.fixture
def site(tmp_path: Path, trust: Authority) -> Site:
    return Site(tmp_path, trust)


def test_each_round_is_kept_once_over_restarts_of_both_sides(site: Site) -> None:
    site.open(1, None)
    site.open(2, site.anchor(1))
    site.restart()
    site.open(2, site.anchor(1))  # signed again, by an aggregator that was started again
    site.open(3, site.anchor(2))
    site.open(3, site.anchor(2))
    site.restart()
    site.open(7, site.anchor(6))  # it was away meanwhile
    assert site.kept() == [1, 2, 6]


def test_what_is_kept_is_what_was_signed(site: Site) -> None:
    anchor = site.anchor(4)
    site.open(5, anchor)
    (event,) = logged(site.path, LogAnchored)
    assert (event.kind, event.site, event.round, kept(event)) == ("log_anchored", "north", 4, anchor)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"run": "another"}, "is that of round 4 of run 'another'"),
        ({"round": 3}, "is that of round 3"),
        ({"round": 5}, "is that of round 5"),
        ({"model_digest": "f" * 64}, "is for the model ffffffffffff, and round 5 opens with 444444444444"),
        ({"log_seq": 30}, "names line 31 (000000000000), and that of round 3 line 31"),
        ({"log_seq": 7}, "names line 8"),
    ],
)
def test_an_anchor_that_cannot_be(site: Site, said: dict[str, Any], why: str) -> None:
    site.open(4, site.anchor(3))
    assert why in site.refusal(5, site.anchor(4, **said))
    site.restart()
    assert why in site.refusal(5, site.anchor(4, **said))
    site.open(5, site.anchor(4))


@pytest.mark.parametrize("said", [{"head": "e" * 64}, {"log_seq": 41}, {"log_seq": 39}])
def test_a_round_that_was_told_is_not_told_otherwise(site: Site, said: dict[str, Any]) -> None:
    site.open(5, site.anchor(4))
    for _ in range(2):
        assert "names line 4" in site.refusal(5, site.anchor(4, **said))
        site.restart()


def test_no_round_before_the_newest_one(site: Site) -> None:
    site.open(5, site.anchor(4))
    assert "comes after that of round 4" in site.refusal(4, site.anchor(3))


def test_only_the_aggregator_of_this_address_can_sign(site: Site, trust: Authority, tmp_path: Path) -> None:
    line = AnchoredLine.of(site.anchor(4))
    assert "is not the aggregator's: its certificate" in site.refusal(5, trust.anchor(line, trust.site))
    assert "was not issued by the authority" in site.refusal(5, Authority(tmp_path / "elsewhere").anchor(line))
    forged = site.anchor(4).model_copy(update={"head": "e" * 64})
    assert "its signature is wrong" in site.refusal(5, forged)
    site.restart(address="elsewhere.example.org")
    assert "not for elsewhere.example.org" in site.refusal(5, site.anchor(4))


def test_an_aggregator_of_the_former_protocol_sends_none(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for round in (1, 2, 3):
        site.open(round, None, protocol="2.0")
    assert site.kept() == []
    assert not caplog.records
    site.open(4, site.anchor(3))
    with caplog.at_level(logging.WARNING):
        site.open(5, None, protocol="2.0")  # the release was rolled back
    assert "keeps anchors up to round 3" in caplog.text
    site.open(6, site.anchor(5))
    assert site.kept() == [3, 5]


@pytest.mark.parametrize("protocol", ["2.1", "2.2"])
def test_one_that_could_sign_and_does_not_is_refused(site: Site, protocol: str) -> None:
    site.open(1, None, protocol=protocol)
    assert "of round 1 is missing" in site.refusal(2, None, protocol=protocol)


def test_what_an_earlier_run_of_the_folder_kept_does_not_count(site: Site) -> None:
    site.restart(run="former")
    former = {"run": "former"}
    site.anchors.take(
        RoundOpening(
            round=9,
            digests={"model": "8" * 64},
            last_counted=None,
            reason=None,
            members_since=1,
            anchor=site.anchor(8, **former),
        )
    )
    site.restart()
    site.open(2, site.anchor(1))
    assert site.kept() == [8, 1]
