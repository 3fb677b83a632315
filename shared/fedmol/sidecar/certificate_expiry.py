"""How long the party's certificate and its authority's are still good for. Keys are never opened."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fedmol.errors import FedmolError
from fedmol.pki.certificate_info import describe
from fedmol.pki.certificates import CertificateFiles
from fedmol.sidecar.views import CertificateView


def certificates(folder: Path | None, now: float) -> list[CertificateView]:
    """One for the party, one for the authority; none without a folder."""
    if folder is None:
        return []
    files = CertificateFiles.in_folder(folder)
    return [_view(name, path, now) for name, path in (("party", files.certificate), ("authority", files.ca))]


def _view(name: str, path: Path, now: float) -> CertificateView:
    try:
        said = describe(path)
    except (FedmolError, OSError) as error:
        problem = error.message if isinstance(error, FedmolError) else str(error)
        return CertificateView(name=name, subject=None, expires=None, days_left=None, problem=problem)
    return CertificateView(
        name=name,
        subject=said.subject,
        expires=said.not_after.timestamp(),
        days_left=said.days_left(datetime.fromtimestamp(now, UTC)),
        problem=None,
    )
