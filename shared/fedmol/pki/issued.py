"""What an authority has signed: `issued.jsonl` in its folder, one line for each certificate.

With it no key is certified under two names: one party with two certificates could be two members of a federation. An
authority that was made before there was an index has none until it signs again; what it signed before is not known.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from fedmol import files
from fedmol.closed import Closed
from fedmol.errors import Exit, FedmolError
from fedmol.pki import pem

_FILE = "issued.jsonl"
_LARGEST = 64 * 2**20  # bytes


class Issued(Closed):
    """A certificate that was signed."""

    time: datetime
    name: str
    serial: str  # hexadecimal
    key: str  # fingerprint
    until: datetime


def read(authority: Path) -> list[Issued]:
    """What the authority in this folder has signed, the oldest first.

    Raises:
        FedmolError: STATE_UNUSABLE when the index is damaged.
    """
    path = authority / _FILE
    if not path.exists():
        return []
    lines = files.read_bytes(path, _LARGEST).splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(Issued.model_validate_json(line))
        except ValidationError:
            raise FedmolError(
                Exit.STATE_UNUSABLE,
                f"{path}, line {number}: this is not a certificate that was signed",
                "restore the authority's folder from a backup",
            ) from None
    return found


def record(authority: Path, certificate: x509.Certificate, key: ec.EllipticCurvePublicKey) -> None:
    """Note that the authority has signed this certificate of `key`.

    Raises:
        FedmolError: CERTIFICATE_NAME when the key has been certified under another name; nothing is noted then.
    """
    path = authority / _FILE
    new = Issued(
        time=datetime.now(UTC),
        name=pem.common_name(certificate.subject),
        serial=f"{certificate.serial_number:x}",
        key=pem.key_fingerprint(key),
        until=certificate.not_valid_after_utc,
    )
    with files.one_at_a_time(authority):
        for issue in read(authority):
            if issue.key == new.key and issue.name != new.name:
                raise FedmolError(
                    Exit.CERTIFICATE_NAME,
                    f"the key in the request is certified as {issue.name!r} already, since {issue.time:%Y-%m-%d}",
                    f"have {new.name!r} make a key of its own: fedmol certs request --site {new.name}",
                )
        before = files.read_bytes(path, _LARGEST) if path.exists() else b""
        files.write_bytes(path, before + new.model_dump_json().encode() + b"\n", mode=0o600)
