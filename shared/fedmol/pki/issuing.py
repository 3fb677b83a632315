"""What the federation's authority writes into a certificate."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from fedmol.errors import Exit, FedmolError

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")  # RFC 1123; no wildcards: an aggregator is one host
_MOST_NAMES = 32
_SKEW = timedelta(minutes=5)  # a peer's clock may be this far behind ours


def authority_certificate(name: str, key: ec.EllipticCurvePrivateKey, validity: timedelta) -> x509.Certificate:
    subject = common_name_only(name)
    builder = _builder(subject, subject, key.public_key(), key, datetime.now(UTC) + validity)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def party_certificate(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    name: str,
    key: ec.EllipticCurvePublicKey,
    names: Sequence[str],
    usage: ObjectIdentifier,
    validity: timedelta,
) -> x509.Certificate:
    """A party's certificate. It never outlives the authority's own."""
    if len(names) > _MOST_NAMES:
        raise FedmolError(
            Exit.USAGE, f"{len(names)} names are too many for a certificate", f"name {_MOST_NAMES} at most"
        )
    until = min(datetime.now(UTC) + validity, ca.not_valid_after_utc)
    builder = _builder(common_name_only(name), ca.subject, key, ca_key, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    alternatives = x509.SubjectAlternativeName([alternative(each) for each in dict.fromkeys(names)])
    builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def common_name_only(name: str) -> x509.Name:
    if not 1 <= len(name) <= 64:
        raise FedmolError(Exit.USAGE, f"{name!r} cannot stand in a certificate", "use a name of 1 to 64 characters")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _HOST.fullmatch(name) or name.rpartition(".")[2].isdecimal():
        cure = "write a plain host name (punycode for non-ASCII ones, no wildcard) or an IP address"
        raise FedmolError(Exit.USAGE, f"{name!r} is neither a host name nor an IP address", cure)
    return x509.DNSName(name.lower())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
