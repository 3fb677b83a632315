"""The aggregator signs its log with the key that it serves with, also while certificates are renewed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography import x509

from fedmol.errors import Exit, FedmolError
from fedmol.fl import log_anchors
from fedmol.fl.log_anchors import AnchoredLine
from fedmol.pki import certificates, pem
from fedmol.pki.certificates import CertificateFiles
from fedmol_aggregator import log_signer
from fedmol_aggregator.log_signer import LogSigner
from tests.support.signed_history import DAY, Authority


@pytest.fixture
def trust(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def line(round: int) -> AnchoredLine:
    return AnchoredLine("trial", round, 10 * round, f"{round:064x}", "a" * 64)


def signed_with(signer: LogSigner, round: int, trust: Authority) -> x509.Certificate:
    anchor = signer.anchor(line(round))
    assert AnchoredLine.of(anchor) == line(round)
    assert log_anchors.signer(anchor, [pem.read_certificate(trust.certificate)], "fl.example.org") == "aggregator"
    return pem.certificate_of(anchor.certificate.encode(), "the anchor")


def renew(trust: Authority, folder: Path) -> CertificateFiles:
    certificates.issue_aggregator(trust.folder, folder, ["fl.example.org"], DAY)
    return CertificateFiles.in_folder(folder)


def test_a_line_is_signed_once_for_all_sites(trust: Authority) -> None:
    signer = LogSigner(trust.aggregator)
    assert signer.anchor(line(1)) is signer.anchor(line(1))
    assert signer.anchor(line(2)) is signer.anchor(line(2))
    assert signer.anchor(line(1)) is not signer.anchor(line(2))


def test_a_renewed_certificate_counts_once_its_key_is_there(trust: Authority, tmp_path: Path) -> None:
    signer, files = LogSigner(trust.aggregator), trust.aggregator
    former = pem.read_certificate(files.certificate)
    later = renew(trust, tmp_path / "later")
    assert signed_with(signer, 1, trust) == former
    shutil.copy(later.certificate, files.certificate)
    assert signed_with(signer, 2, trust) == former
    files.key.unlink()
    assert signed_with(signer, 3, trust) == former
    shutil.copy(later.key, files.key)
    assert signed_with(signer, 4, trust) == pem.read_certificate(later.certificate) != former


@pytest.mark.parametrize("fault", ["no-key", "another-key", "too-large"])
def test_without_key_and_certificate_that_can_sign_nothing_begins(
    trust: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "no-key":
        trust.aggregator.key.unlink()
    elif fault == "another-key":
        shutil.copy(trust.site.key, trust.aggregator.key)
    else:
        monkeypatch.setattr(log_signer, "LARGEST_CERTIFICATE", 100)
    with pytest.raises(FedmolError) as caught:
        LogSigner(trust.aggregator)
    assert caught.value.exit is (Exit.CERTIFICATE_MISSING if fault == "no-key" else Exit.CERTIFICATE_FOREIGN)
