"""Signatures by the federation's authority, which every party can check with the `ca.crt` that it trusts."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedmol.errors import Exit, FedmolError

_DOMAIN = b"fedmol signed document\n"  # so that what is signed here is never taken for a certificate, or the other way
_HASH = ec.ECDSA(hashes.SHA256())
_LARGEST = 2**20  # bytes


def sign_document(key: Path, passphrase: bytes | None, payload: bytes) -> bytes:
    """The authority's signature of `payload`; `key` is its private key.

    Raises:
        FedmolError: CERTIFICATE_MISSING or CERTIFICATE_FOREIGN when the key cannot be read.
    """
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), passphrase)
    except FileNotFoundError:
        raise FedmolError(Exit.CERTIFICATE_MISSING, f"there is no {key}", "name the authority's folder") from None
    except (ValueError, TypeError) as error:
        cure = "name the folder that `fedmol certs ca` made, and its passphrase where it has one"
        raise FedmolError(Exit.CERTIFICATE_FOREIGN, f"{key} cannot be read: {error}", cure) from None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise FedmolError(
            Exit.CERTIFICATE_FOREIGN, f"{key} is of another kind", "make the authority by `fedmol certs ca`"
        )
    return private.sign(_DOMAIN + payload, _HASH)


def verify_document(authority: Path, payload: bytes, signature: bytes) -> None:
    """Raises FedmolError CERTIFICATE_FOREIGN unless the authority with the certificate `authority` signed `payload`."""
    public = x509.load_pem_x509_certificate(authority.read_bytes()).public_key()
    if len(payload) <= _LARGEST and isinstance(public, ec.EllipticCurvePublicKey):
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
