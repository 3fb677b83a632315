"""Signatures that every party can check with the `ca.crt` that it trusts: by the federation's authority, or by a party
whose certificate the authority has issued.

What is signed for one purpose is never taken for something else: each purpose has a domain, which is signed with it.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fedmol.errors import Exit, FedmolError
from fedmol.pki import pem

_DOCUMENT = b"fedmol signed document\n"
ANCHOR = b"fedmol log anchor\n"  # see fedmol.fl.log_anchors
_HASH = ec.ECDSA(hashes.SHA256())
_LARGEST = 2**20  # bytes


def sign_document(key: Path, passphrase: bytes | None, payload: bytes) -> bytes:
    """The authority's signature of `payload`; `key` is its private key.

    Raises:
        FedmolError: CERTIFICATE_MISSING or CERTIFICATE_FOREIGN when the key cannot be read.
    """
    return sign(pem.read_key(key, passphrase), _DOCUMENT, payload)


def verify_document(authority: Path, payload: bytes, signature: bytes) -> None:
    """Raises FedmolError CERTIFICATE_FOREIGN unless the authority with the certificate `authority` signed `payload`."""
    public = pem.require_sound(pem.read_certificate(authority).public_key(), str(authority))
    if len(payload) > _LARGEST or not is_signed(public, _DOCUMENT, payload, signature):
        raise FedmolError(
            Exit.CERTIFICATE_FOREIGN,
            f"the document was not signed by the authority in {authority.name}",
            "have it signed with the key of this federation's authority",
        )


def sign(key: ec.EllipticCurvePrivateKey, domain: bytes, payload: bytes) -> bytes:
    """ECDSA with SHA-256, in DER."""
    return key.sign(domain + payload, _HASH)


def is_signed(key: ec.EllipticCurvePublicKey, domain: bytes, payload: bytes, signature: bytes) -> bool:
    """Whether the holder of `key` has signed `payload` for this purpose."""
    try:
        key.verify(signature, domain + payload, _HASH)
        return True
    except InvalidSignature:
        return False
