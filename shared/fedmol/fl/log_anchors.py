"""Anchors: what an aggregator signs of its event log after each round, and every site keeps.

Each line of the log carries the hash of the line before, so the digest of the line that closes a round stands for that
line and all before it. Once the line is on the disk the aggregator signs its digest, with its number, the run, the
round and the digest of the round's model. The signature is made with the key of the aggregator's own certificate, which
sites trust because their authority has issued it. Whoever changes the log afterwards would have to change what every
site keeps, too: `fedmol.fl.log_audit` compares the two.

An anchor follows from the log alone. An aggregator that was started again makes the same ones, so none is stored there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import ValidationError

from fedmol.errors import Exit, FedmolError
from fedmol.fl.messages import LogAnchor
from fedmol.pki import pem
from fedmol.pki.certificate_info import covers, information
from fedmol.pki.certificates import allows, is_issued_by
from fedmol.pki.signatures import ANCHOR, is_signed, sign
from fedmol.telemetry.events.round_events import LogAnchored
from fedmol.telemetry.log import Event


@dataclass(frozen=True)
class AnchoredLine:
    """What an anchor says: this line of the aggregator's log closes this round, which this model leaves."""

    run: str
    round: int
    log_seq: int  # counted from 0
    head: str
    model_digest: str

    @classmethod
    def of(cls, anchor: LogAnchor) -> Self:
        return cls(**{field.name: getattr(anchor, field.name) for field in fields(cls)})

    def encode(self) -> bytes:
        """What is signed."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def make(line: AnchoredLine, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> LogAnchor:
    """The anchor of `line`, signed with the key of `certificate`."""
    signature = sign(key, ANCHOR, line.encode()).hex()
    return LogAnchor(**asdict(line), certificate=pem.pem_of(certificate), signature=signature)


def signer(anchor: LogAnchor, authorities: Iterable[x509.Certificate], address: str | None = None) -> str:
    """Who has signed the anchor: the common name of an aggregator's certificate.

    One of the `authorities` must have issued it. With `address` it must be for that host. Whether it has expired does
    not matter: what was signed is years later still what was signed.

    Raises:
        FedmolError: CERTIFICATE_FOREIGN when that is no aggregator which one of the authorities knows, or the signature
            is not that of the anchor.
    """
    certificate = pem.certificate_of(anchor.certificate.encode(), "the anchor")
    if not any(is_issued_by(certificate, authority) for authority in authorities):
        raise _foreign("its certificate was not issued by the authority that is trusted here")
    about = information(certificate)
    if about.authority or not allows(certificate, ExtendedKeyUsageOID.SERVER_AUTH):
        raise _foreign(f"its certificate, that of {about.subject!r}, is not an aggregator's")
    if address is not None and not covers(about.names, address):
        raise _foreign(f"its certificate is for {', '.join(about.names) or 'no host'}, not for {address}")
    key = pem.require_sound(certificate.public_key(), "the anchor")
    if not is_signed(key, ANCHOR, AnchoredLine.of(anchor).encode(), bytes.fromhex(anchor.signature)):
        raise _foreign("its signature is wrong")
    return about.subject


def event_of(anchor: LogAnchor) -> LogAnchored:
    """The anchor as a site keeps it; run and round are in the event's head."""
    return LogAnchored(**anchor.model_dump(exclude={"run", "round"}))


def kept(event: Event[LogAnchored]) -> LogAnchor:
    """The anchor that a site has kept.

    Raises:
        FedmolError: STATE_UNUSABLE when the event holds none.
    """
    try:
        return LogAnchor.model_validate({**event.body.said(), "run": event.run, "round": event.round})
    except ValidationError:
        raise FedmolError(
            Exit.STATE_UNUSABLE,
            f"line {event.seq + 1} of the site's event log holds no anchor",
            "restore the log from a backup",
        ) from None


def _foreign(what: str) -> FedmolError:
    return FedmolError(
        Exit.CERTIFICATE_FOREIGN, what, "compare ca.crt with the coordinator's (fedmol certs show), and ask them"
    )
