"""What a certificate says, for people."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedmol.pki import pem

_USAGES = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}


@dataclass(frozen=True)
class CertificateInfo:
    """What a certificate says, for people."""

    subject: str
    issuer: str
    authority: bool
    names: tuple[str, ...]
    usages: tuple[str, ...]  # "server", "client" or a dotted object identifier
    not_before: datetime
    not_after: datetime
    serial: str  # hexadecimal
    fingerprint: str

    def days_left(self, now: datetime) -> float:
        """Negative once the certificate has expired."""
        return (self.not_after - now) / timedelta(days=1)


def describe(path: Path) -> CertificateInfo:
    """What the certificate at `path` says.

    Raises:
        FedmolError: CERTIFICATE_MISSING or CERTIFICATE_FOREIGN when there is none to read.
    """
    return information(pem.read_certificate(path))


def information(certificate: x509.Certificate) -> CertificateInfo:
    """What a certificate says."""
    return CertificateInfo(
        subject=pem.common_name(certificate.subject),
        issuer=pem.common_name(certificate.issuer),
        authority=is_authority(certificate),
        names=_alternative_names(certificate),
        usages=_usages(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        serial=f"{certificate.serial_number:x}",
        fingerprint=pem.grouped(certificate.fingerprint(hashes.SHA256())),
    )


def covers(names: Collection[str], address: str) -> bool:
    """Whether one of a certificate's alternative names is `address`, as RFC 6125, section 6.4, has it."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        _, _, parent = address.lower().partition(".")
        return bool({address.lower(), f"*.{parent}"} & {name.lower() for name in names})
    return any(_is_address(name, str(wanted)) for name in names)


def _is_address(name: str, wanted: str) -> bool:
    try:
        return str(ipaddress.ip_address(name)) == wanted
    except ValueError:
        return False


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def _usages(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(_USAGES.get(usage, usage.dotted_string) for usage in usages)
