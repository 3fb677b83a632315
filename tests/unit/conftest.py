from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fedmol.pki import certificates
from fedmol.pki.certificates import CertificateFiles

DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    certificates.make_ca(tmp_path / "authority", "trial", 300 * DAY)
    return tmp_path / "authority"


@pytest.fixture
def north(authority: Path, tmp_path: Path) -> CertificateFiles:
    """A site in good order."""
    certificates.issue_site(authority, tmp_path / "north", "north", 90 * DAY)
    return CertificateFiles.in_folder(tmp_path / "north")
