"""Keys, certificates and requests as PEM files, read with errors that name the file and the cure."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fedmol import files
from fedmol.errors import Exit, FedmolError


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """To a file that only its owner can read, in a folder that only its owner can enter, unless it was there."""
    if path.exists():
        raise FedmolError(
            Exit.USAGE,
            f"there is a key {path} already, and it is never overwritten",
            "choose another folder, or move the old key away if nothing needs it any more",
        )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    files.write_bytes(path, pem, mode=0o600)


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError):
        raise _unreadable(path, "an unencrypted private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _unreadable(path, "an elliptic-curve key")
    return key


def read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError:
        raise _unreadable(path, "a certificate") from None


def read_request(path: Path) -> x509.CertificateSigningRequest:
    """A request that was signed with the key it is for, and that key on an elliptic curve."""
    try:
        csr = x509.load_pem_x509_csr(_read(path))
    except ValueError:
        raise _unreadable(path, "a certificate request") from None
    if not csr.is_signature_valid:
        raise _unreadable(path, "a request signed with its own key")
    if not isinstance(csr.public_key(), ec.EllipticCurvePublicKey):
        raise _unreadable(path, "a request for an elliptic-curve key")
    return csr


def write_certificate(path: Path, certificate: x509.Certificate) -> None:
    files.write_bytes(path, certificate.public_bytes(serialization.Encoding.PEM))


def write_request(path: Path, csr: x509.CertificateSigningRequest) -> None:
    files.write_bytes(path, csr.public_bytes(serialization.Encoding.PEM))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FedmolError(
            Exit.CERTIFICATE_MISSING,
            f"there is no {path}",
            "make it with `fedmol certs request`, `sign` and `install`, or name the right folder",
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        cure = "run as the owner of the file, who alone may read a key"
        raise FedmolError(Exit.CERTIFICATE_MISSING, f"{path} cannot be read: {reason}", cure) from None


def _unreadable(path: Path, wanted: str) -> FedmolError:
    return FedmolError(
        Exit.CERTIFICATE_FOREIGN,
        f"{path} does not hold {wanted} in PEM form",
        "use the file as `fedmol certs` wrote it; it may have been cut short, or be another file",
    )


def key_fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of a public key, in groups that two people can read to each other."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(encoded)
    return grouped(digest.finalize())


def grouped(digest: bytes) -> str:
    return " ".join(digest[i : i + 2].hex() for i in range(0, len(digest), 2))


def common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""
