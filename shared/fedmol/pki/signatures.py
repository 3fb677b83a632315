"""Signatures by the federation's authority, which every party can check with the `ca.crt` that it trusts."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fedmol.errors import Exit, FedmolError
from fedmol.pki import pem

_DOMAIN = b"fedmol signed document\n"  # so that what is signed here is never taken for a certificate, or the other way
_HASH = ec.ECDSA(hashes.SHA256())
_LARGEST = 2**20  # bytes


def sign_document(key: Path, passphrase: bytes | None, payload: bytes) -> bytes:
    """The authority's signature of `payload`; `key` is its private key.

    Raises:
        FedmolError: CERTIFICATE_MISSING or CERTIFICATE_FOREIGN when the key cannot be read.
    """
    return pem.read_key(key, passphrase).sign(_DOMAIN + payload, _HASH)


def verify_document(authority: Path, payload: bytes, signature: bytes) -> None:
    """Raises FedmolError CERTIFICATE_FOREIGN unless the authority with the certificate `authority` signed `payload`."""
    public = pem.require_sound(pem.read_certificate(authority).public_key(), str(authority))
    if len(payload) <= _LARGEST:
        try:
            public.verify(signature, _DOMAIN + payload, _HASH)
            return
        except InvalidSignature:
            pass
    raise FedmolError(
        Exit.CERTIFICATE_FOREIGN,
        f"the document was not signed by the authority in {authority.name}",
        "have it signed with the key of this federation's authority",
    )
