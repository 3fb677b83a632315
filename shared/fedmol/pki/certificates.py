"""The federation's own small authority: ECDSA P-256 certificates for the aggregator and for every site.

A site is known by the common name of its certificate. Its key is made at the site and never leaves it: what travels is
a request (`request`), which the coordinator signs (`sign`), and the certificate that comes back (`install`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from fedmol import names
from fedmol.errors import Exit, FedmolError
from fedmol.names import AGGREGATOR
from fedmol.pki import issued, issuing, pem
from fedmol.pki.certificate_info import CertificateInfo, describe, is_authority

CA_KEY = "ca.key"
REQUEST = "party.csr"


@dataclass(frozen=True)
class CertificateFiles:
    """The three files a party needs: whom it trusts, who it is, and the key that proves it."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def in_folder(cls, folder: Path) -> CertificateFiles:
        return cls(folder / "ca.crt", folder / "party.crt", folder / "party.key")


def make_ca(folder: Path, name: str, validity: timedelta, passphrase: bytes | None = None) -> None:
    """A new authority: `ca.crt` for everyone, `ca.key` for nobody but the coordinator, locked by a passphrase if given.

    Raises:
        FedmolError: USAGE, when the folder holds a key already.
    """
    key = pem.new_key()
    certificate = issuing.authority_certificate(f"{name} authority", key, validity)
    pem.write_key(folder / CA_KEY, key, passphrase)
    pem.write_certificate(folder / "ca.crt", certificate)


def issue_aggregator(
    authority: Path, folder: Path, names: Sequence[str], validity: timedelta, passphrase: bytes | None = None
) -> None:
    """Key and certificate of an aggregator that sites reach under `names` (DNS names or IP addresses)."""
    if not names:
        cure = "give the host name or IP address that sites connect to"
        raise FedmolError(Exit.USAGE, "the aggregator's certificate names no address", cure)
    _issue_with_key(authority, folder, AGGREGATOR, names, ExtendedKeyUsageOID.SERVER_AUTH, validity, passphrase)


def issue_site(authority: Path, folder: Path, site: str, validity: timedelta, passphrase: bytes | None = None) -> None:
    """Key and certificate of a site, made in one place: for trials. Real sites use `request`, `sign` and `install`."""
    names.check_site(site)
    _issue_with_key(authority, folder, site, [site], ExtendedKeyUsageOID.CLIENT_AUTH, validity, passphrase)


def request(folder: Path, site: str) -> str:
    """At the site: a new key, and the request for a certificate beside it (`party.csr`).

    Returns:
        The fingerprint of the new key, to be read out to the coordinator.
    """
    names.check_site(site)
    key = pem.new_key()
    subject = issuing.common_name_only(site)
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem.write_key(folder / "party.key", key)
    pem.write_request(folder / REQUEST, csr)
    return pem.key_fingerprint(key.public_key())


def sign(
    authority: Path, request_path: Path, site: str, out: Path, validity: timedelta, passphrase: bytes | None = None
) -> str:
    """At the coordinator: a site's certificate from its request, of which only name and key are taken over.

    Returns:
        The fingerprint of the key in the request, to be compared with the one that the site reads out.

    Raises:
        FedmolError: CERTIFICATE_NAME when the request is another site's, or its key has another name already;
            CERTIFICATE_FOREIGN when it is not in order.
    """
    names.check_site(site)
    csr = pem.read_request(request_path)
    asked = pem.common_name(csr.subject)
    if asked != site:
        raise FedmolError(
            Exit.CERTIFICATE_NAME,
            f"{request_path} asks for the name {asked!r}, not {site!r}",
            f"have the site make its request again with: fedmol certs request --site {site}",
        )
    if out.exists():
        raise FedmolError(Exit.USAGE, f"there is a file {out} already", "choose another --out, or move the file away")
    key = pem.require_sound(csr.public_key(), str(request_path))
    ca, ca_key = _read_authority(authority, passphrase)
    usage = ExtendedKeyUsageOID.CLIENT_AUTH
    certificate = issuing.party_certificate(ca, ca_key, site, key, [site], usage, validity)
    issued.record(authority, certificate, key)  # first: what has been signed is known, whatever becomes of the file
    pem.write_certificate(out, certificate)
    return pem.key_fingerprint(key)


def install(certificate: Path, ca: Path, folder: Path) -> CertificateInfo:
    """At the site: put the signed certificate and the authority's beside the key, once all three have been checked.

    Raises:
        FedmolError: any of the certificate codes; nothing is written then.
    """
    target = CertificateFiles.in_folder(folder)
    site = pem.common_name(pem.read_request(folder / REQUEST).subject)
    check_files(CertificateFiles(ca, certificate, target.key), site)
    trusted, signed = pem.read_certificate(ca), pem.read_certificate(certificate)
    pem.write_certificate(target.ca, trusted)
    pem.write_certificate(target.certificate, signed)
    return describe(target.certificate)


def check_files(party: CertificateFiles, expected_name: str | None, now: datetime | None = None) -> None:
    """Whether a party could show these files: all there, in time, of one another, and under the expected name.

    The party without a name is the aggregator.

    Raises:
        FedmolError: CERTIFICATE_MISSING, CERTIFICATE_EXPIRED, CERTIFICATE_FOREIGN or CERTIFICATE_NAME.
    """
    check_issuer(party)
    check_key(party)
    if expected_name is not None:
        check_name(party, expected_name)
    check_usage(party, ExtendedKeyUsageOID.SERVER_AUTH if expected_name is None else ExtendedKeyUsageOID.CLIENT_AUTH)
    check_validity(party, now or datetime.now(UTC))


def check_issuer(party: CertificateFiles) -> None:
    """Raises FedmolError CERTIFICATE_FOREIGN unless the authority in `ca.crt` has signed the certificate."""
    if not is_issued_by(pem.read_certificate(party.certificate), pem.read_certificate(party.ca)):
        raise FedmolError(
            Exit.CERTIFICATE_FOREIGN,
            f"{party.certificate} was not issued by the authority in {party.ca}",
            "get both from the coordinator of this federation (fedmol certs request, sign, install)",
        )


def is_issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether the authority with the certificate `ca` has signed this one."""
    try:
        certificate.verify_directly_issued_by(ca)
        return is_authority(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False


def check_key(party: CertificateFiles) -> None:
    """Raises FedmolError CERTIFICATE_FOREIGN unless the key is that of the certificate."""
    if pem.read_certificate(party.certificate).public_key() != pem.read_key(party.key).public_key():
        raise FedmolError(
            Exit.CERTIFICATE_FOREIGN,
            f"{party.key} is not the key of {party.certificate}",
            "install the certificate that was signed for this key's request, in the folder where the request was made",
        )


def check_usage(party: CertificateFiles, usage: ObjectIdentifier) -> None:
    """Raises FedmolError CERTIFICATE_FOREIGN when the certificate is for other uses: a site's does not serve."""
    certificate = pem.read_certificate(party.certificate)
    if not allows(certificate, usage):
        whose, right = (
            ("a site", "aggregator") if usage == ExtendedKeyUsageOID.SERVER_AUTH else ("an aggregator", "site")
        )
        raise FedmolError(
            Exit.CERTIFICATE_FOREIGN,
            f"{party.certificate} is the certificate of {whose}, {pem.common_name(certificate.subject)!r}",
            f"use the one that `fedmol certs` made for this {right}",
        )


def allows(certificate: x509.Certificate, usage: ObjectIdentifier) -> bool:
    """Whether the certificate is for `usage`."""
    try:
        allowed = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True  # for everything, then
    return usage in allowed or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in allowed


def check_name(party: CertificateFiles, expected: str) -> None:
    """Raises FedmolError CERTIFICATE_NAME unless the certificate's common name is the expected one."""
    name = pem.common_name(pem.read_certificate(party.certificate).subject)
    if name != expected:
        raise FedmolError(
            Exit.CERTIFICATE_NAME,
            f"{party.certificate} is the certificate of {name!r}, not of {expected!r}",
            f"use the folder of {expected!r}, or have a certificate with that name signed",
        )


def check_validity(party: CertificateFiles, now: datetime) -> None:
    """Raises FedmolError CERTIFICATE_EXPIRED unless certificate and authority are both valid at `now`."""
    for path in (party.ca, party.certificate):
        _check_in_time(path, pem.read_certificate(path), now)


def _check_in_time(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    if now > certificate.not_valid_after_utc:
        raise FedmolError(
            Exit.CERTIFICATE_EXPIRED,
            f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            "have a new one signed (fedmol certs request, sign, install)",
        )
    if now < certificate.not_valid_before_utc:
        raise FedmolError(
            Exit.CERTIFICATE_EXPIRED,
            f"{path} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "set this machine's clock right",
        )


def _issue_with_key(
    authority: Path,
    folder: Path,
    name: str,
    names: Sequence[str],
    usage: ObjectIdentifier,
    validity: timedelta,
    passphrase: bytes | None,
) -> None:
    ca, ca_key = _read_authority(authority, passphrase)
    key = pem.new_key()
    certificate = issuing.party_certificate(ca, ca_key, name, key.public_key(), names, usage, validity)
    target = CertificateFiles.in_folder(folder)
    pem.write_key(target.key, key)
    issued.record(authority, certificate, key.public_key())
    pem.write_certificate(target.certificate, certificate)
    pem.write_certificate(target.ca, ca)


def _read_authority(folder: Path, passphrase: bytes | None) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path = folder / "ca.crt"
    ca, key = pem.read_certificate(path), pem.read_key(folder / CA_KEY, passphrase)
    if ca.public_key() != key.public_key() or not is_authority(ca):
        raise FedmolError(
            Exit.CERTIFICATE_FOREIGN,
            f"{folder} does not hold an authority: {CA_KEY} is not the key of ca.crt",
            "name the folder that `fedmol certs ca` made",
        )
    if datetime.now(UTC) > ca.not_valid_after_utc:
        raise FedmolError(
            Exit.CERTIFICATE_EXPIRED,
            f"the authority in {path} expired on {ca.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            "make a new one (fedmol certs ca) and have every party install certificates from it",
        )
    return ca, key
