"""Keys, certificates and requests as PEM files, read with errors that name the file and the cure."""

from __future__ import annotations

import errno
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fedmol import files
from fedmol.errors import Exit, FedmolError

_LARGEST = 64 * 2**10  # bytes that are read of a file
_CURVES = (ec.SECP256R1, ec.SECP384R1)  # what every TLS library takes, and nobody breaks


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def write_key(path: Path, key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> None:
    """To a file that only its owner can read, in a folder that only its owner can enter, unless it was there.

    With a passphrase the key is encrypted (PKCS#8).
    """
    if path.exists():
        raise FedmolError(
            Exit.USAGE,
            f"there is a key {path} already, and it is never overwritten",
            "choose another folder, or move the old key away if nothing needs it any more",
        )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        locked = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    files.write_bytes(path, pem, mode=0o600)


def is_encrypted(path: Path) -> bool:
    """Whether the key in `path` needs a passphrase."""
    return b"ENCRYPTED PRIVATE KEY" in content(path)


def read_key(path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """The key in `path`. Raises FedmolError CERTIFICATE_FOREIGN when it is none, weak, or locked otherwise."""
    said = content(path)
    locked = b"ENCRYPTED PRIVATE KEY" in said
    if locked and passphrase is None:
        cure = "name the file that holds it: --passphrase-file FILE"
        raise FedmolError(Exit.CERTIFICATE_FOREIGN, f"{path} needs a passphrase", cure)
    try:
        key = serialization.load_pem_private_key(said, passphrase if locked else None)
    except (ValueError, TypeError):
        if locked:
            cure = "give the passphrase with which `fedmol certs ca` made the authority"
            raise FedmolError(Exit.CERTIFICATE_FOREIGN, f"the passphrase does not open {path}", cure) from None
        raise _unreadable(path, "a private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _unreadable(path, "an elliptic-curve key")
    require_sound(key.public_key(), str(path))
    return key


def require_sound(key: object, whose: str) -> ec.EllipticCurvePublicKey:
    """The key, if it is on a curve that fedmol takes. Raises FedmolError CERTIFICATE_FOREIGN; `whose` says whose."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    said = f"on the curve {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else "on no elliptic curve"
    raise FedmolError(
        Exit.CERTIFICATE_FOREIGN,
        f"the key of {whose} is {said}; fedmol takes P-256 and P-384",
        "make a new key and have a certificate signed for it (fedmol certs request, sign, install)",
    )


def read_certificate(path: Path) -> x509.Certificate:
    """The certificate in `path`. Raises FedmolError CERTIFICATE_FOREIGN when there is none, or one with a weak key."""
    return certificate_of(content(path), str(path))


def certificate_of(content: bytes, where: str) -> x509.Certificate:
    """The certificate in PEM form. Raises FedmolError CERTIFICATE_FOREIGN, naming `where`, for none or a weak key."""
    try:
        certificate = x509.load_pem_x509_certificate(content)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise _unreadable(where, "a certificate") from None
    require_sound(key, where)
    return certificate


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def read_request(path: Path) -> x509.CertificateSigningRequest:
    """A request that was signed with the key it is for, and that key a sound one."""
    try:
        csr = x509.load_pem_x509_csr(content(path))
        key, signed = csr.public_key(), csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise _unreadable(path, "a certificate request") from None
    if not signed:
        raise _unreadable(path, "a request signed with its own key")
    require_sound(key, str(path))
    return csr


def write_certificate(path: Path, certificate: x509.Certificate) -> None:
    files.write_text(path, pem_of(certificate))


def write_request(path: Path, csr: x509.CertificateSigningRequest) -> None:
    files.write_bytes(path, csr.public_bytes(serialization.Encoding.PEM))


def content(path: Path) -> bytes:
    """What is in a file of keys or certificates, which may be a link, as all files of a Secret are.

    Raises:
        FedmolError: CERTIFICATE_MISSING when it cannot be read, CERTIFICATE_FOREIGN when it can be no such file.
    """
    try:
        return files.read_bytes(path, _LARGEST, follow=True)
    except FileNotFoundError:
        raise FedmolError(
            Exit.CERTIFICATE_MISSING,
            f"there is no {path}",
            "name the right folder; `fedmol certs ca` makes an authority, `fedmol certs request`, `sign` and `install` "
            "a site's certificate",
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in {*files.NO_FILE, errno.EISDIR}:
            cure = "put the file there that `fedmol certs` wrote"
            raise FedmolError(Exit.CERTIFICATE_FOREIGN, f"{path} cannot be read: {reason}", cure) from None
        cure = "run as the owner of the file, who alone may read a key"
        raise FedmolError(Exit.CERTIFICATE_MISSING, f"{path} cannot be read: {reason}", cure) from None


def _unreadable(where: Path | str, wanted: str) -> FedmolError:
    return FedmolError(
        Exit.CERTIFICATE_FOREIGN,
        f"{where} does not hold {wanted} in PEM form",
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
