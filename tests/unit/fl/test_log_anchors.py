"""What an aggregator signs of its log: nobody else can, and nothing else is taken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.fl.log_anchors import AnchoredLine, event_of, kept, make, signer
from fedmol.fl.messages import LogAnchor, RoundOpening, read
from fedmol.pki import certificates, pem
from fedmol.pki.certificates import CertificateFiles
from fedmol.pki.signatures import sign_document
from fedmol.telemetry.events.round_events import LogAnchored
from fedmol.telemetry.log import Event, EventLog
from fedmol.telemetry.queries import logged
from tests.support.signed_history import Authority

LINE = AnchoredLine("trial", 3, 41, "a" * 64, "b" * 64)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("trust"))


def accept(anchor: LogAnchor, trust: Authority, address: str | None = None) -> str:
    return signer(anchor, [pem.read_certificate(trust.certificate)], address)


def refusal(anchor: LogAnchor, trust: Authority, address: str | None = None) -> str:
    with pytest.raises(FedmolError) as caught:
        accept(anchor, trust, address)
    assert caught.value.exit is Exit.CERTIFICATE_FOREIGN
    return caught.value.message


def test_the_aggregator_s_anchor_is_known_by_the_authority_and_the_address(trust: Authority) -> None:
    anchor = trust.anchor(LINE)
    assert AnchoredLine.of(anchor) == LINE
    assert accept(anchor, trust) == accept(anchor, trust, "fl.example.org") == "aggregator"
    assert "is for fl.example.org, not for fl.example.com" in refusal(anchor, trust, "fl.example.com")


@pytest.mark.parametrize(
    "change", [{"run": "other"}, {"round": 4}, {"log_seq": 40}, {"head": "c" * 64}, {"model_digest": "c" * 64}]
)
def test_whatever_is_changed_in_an_anchor_its_signature_is_wrong(trust: Authority, change: dict[str, Any]) -> None:
    anchor = trust.anchor(LINE)
    assert "signature is wrong" in refusal(anchor.model_copy(update=change), trust)


@pytest.mark.parametrize("signature", ["00", "ab" * 70, "30440220" + "00" * 64])
def test_what_is_no_signature(trust: Authority, signature: str) -> None:
    assert "signature is wrong" in refusal(trust.anchor(LINE).model_copy(update={"signature": signature}), trust)


def test_a_site_cannot_sign_an_anchor_nor_can_the_authority_or_a_stranger(trust: Authority, tmp_path: Path) -> None:
    assert "is not an aggregator's" in refusal(trust.anchor(LINE, trust.site), trust)
    authority = CertificateFiles(trust.certificate, trust.certificate, trust.folder / "ca.key")
    assert "is not an aggregator's" in refusal(trust.anchor(LINE, authority), trust)
    stranger = Authority(tmp_path)
    assert "was not issued by the authority" in refusal(stranger.anchor(LINE), trust)
    foreign = make(LINE, pem.read_key(stranger.aggregator.key), pem.read_certificate(trust.aggregator.certificate))
    assert "signature is wrong" in refusal(foreign, trust)


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\x00" * 99])
def test_what_is_no_certificate(trust: Authority, content: str) -> None:
    assert "certificate" in refusal(trust.anchor(LINE).model_copy(update={"certificate": content}), trust)


def test_a_signed_document_is_no_anchor(trust: Authority) -> None:
    signature = sign_document(trust.aggregator.key, None, LINE.encode()).hex()
    assert "signature is wrong" in refusal(trust.anchor(LINE).model_copy(update={"signature": signature}), trust)


def test_an_anchor_outlives_its_certificate(trust: Authority, tmp_path: Path) -> None:
    certificates.issue_aggregator(trust.folder, tmp_path, ["fl.example.org"], timedelta(seconds=-60))
    assert accept(trust.anchor(LINE, CertificateFiles.in_folder(tmp_path)), trust) == "aggregator"


def test_an_anchor_comes_back_from_a_site_s_log(trust: Authority, tmp_path: Path) -> None:
    anchor = trust.anchor(LINE)
    log = EventLog(tmp_path / "events.jsonl", run="trial", site="north")
    log.write(event_of(anchor), round=anchor.round)
    (event,) = logged(log.path, LogAnchored)
    assert kept(event) == anchor
    with pytest.raises(FedmolError, match="line 1 of the site's event log holds no anchor"):
        kept(replace(event, body=LogAnchored(**{**event.body.said(), "head": "a"})))


def _opening(anchor: Any) -> bytes:
    said = RoundOpening(round=4, digests={"model": "b" * 64}, last_counted=3, reason=None, members_since=1)
    return json.dumps({**said.model_dump(mode="json"), "anchor": anchor}).encode()


def _with(**said: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda anchor: {**anchor, **said}


@pytest.mark.parametrize(
    "make",
    [
        lambda anchor: "signed",
        lambda anchor: [anchor],
        lambda anchor: {},
        _with(round=0),
        _with(round="3"),
        _with(round=3.0),
        _with(round=True),
        _with(log_seq=-1),
        _with(log_seq=2**80),
        _with(log_seq=None),
        _with(head="A" * 64),
        _with(head="a" * 65),
        _with(head=["a" * 64]),
        _with(model_digest=None),
        _with(run="r" * 200),
        _with(certificate="x" * 20_000),
        _with(certificate=[]),
        _with(signature="a" * 5000),
        _with(signature="zz"),
        _with(signature=""),
        _with(more=1),
    ],
)
def test_a_hostile_anchor_is_refused_as_a_message(trust: Authority, make: Callable[[dict[str, Any]], Any]) -> None:
    honest = trust.anchor(LINE).model_dump(mode="json")
    assert read(RoundOpening, _opening(honest), "the aggregator").anchor == trust.anchor(LINE).model_copy(
        update={"signature": honest["signature"]}
    )
    with pytest.raises(FedmolError, match="anchor") as caught:
        read(RoundOpening, _opening(make(honest)), "the aggregator")
    assert caught.value.exit is Exit.MESSAGE_REFUSED


def test_an_event_without_its_round_holds_no_anchor(trust: Authority) -> None:
    said = event_of(trust.anchor(LINE))
    event = Event(0, "2026-11-27T00:00:00+00:00", "trial", "north", None, None, said.kind, said)
    with pytest.raises(FedmolError, match="holds no anchor"):
        kept(event)
