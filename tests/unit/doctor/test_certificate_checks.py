"""A party's own certificates: every fault by itself, with its cure."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmol.doctor import certificate_checks
from fedmol.doctor.checks import Check, Finding, run_checks
from fedmol.pki import certificate_info, certificates
from fedmol.pki.certificates import CertificateFiles

DAY = timedelta(days=1)


def _found(do: Callable[[], Finding]) -> Finding:
    return run_checks([Check("it", lambda _: do())])[0].finding


def _elsewhere(folder: Path) -> CertificateFiles:
    certificates.make_ca(folder / "other-authority", "elsewhere", DAY)
    certificates.issue_site(folder / "other-authority", folder / "other", "north", DAY)
    return CertificateFiles.in_folder(folder / "other")


def test_a_site_in_good_order(north: CertificateFiles) -> None:
    findings = [
        certificate_checks.authority(north),
        certificate_checks.issuer(north),
        certificate_checks.key(north),
        certificate_checks.name(north, "north", ["north", "south"]),
        certificate_checks.validity(north),
    ]
    assert [one.state for one in findings] == ["ok"] * 5
    assert findings[-1].figures["days_left"] == pytest.approx(90, abs=0.1)


@pytest.mark.parametrize("missing", ["ca.crt", "party.crt", "party.key"])
def test_a_missing_file(north: CertificateFiles, missing: str) -> None:
    (north.ca.parent / missing).unlink()
    check = {
        "ca.crt": certificate_checks.authority,
        "party.crt": certificate_checks.issuer,
        "party.key": certificate_checks.key,
    }[missing]
    finding = _found(lambda: check(north))
    assert finding.state == "failed"
    assert missing in finding.found
    assert "fedmol certs request" in finding.cure


def test_a_certificate_where_the_authority_should_be(north: CertificateFiles) -> None:
    shutil.copy(north.certificate, north.ca)
    finding = _found(lambda: certificate_checks.authority(north))
    assert finding.state == "failed"
    assert "coordinator's ca.crt" in finding.cure


def test_a_certificate_of_a_foreign_authority(north: CertificateFiles, tmp_path: Path) -> None:
    shutil.copy(_elsewhere(tmp_path).certificate, north.certificate)
    finding = _found(lambda: certificate_checks.issuer(north))
    assert finding.state == "failed"
    assert "was not issued by the authority" in finding.found
    assert "coordinator" in finding.cure


def test_a_key_of_another_certificate_and_nothing_of_it_is_shown(north: CertificateFiles, tmp_path: Path) -> None:
    shutil.copy(_elsewhere(tmp_path).key, north.key)
    finding = _found(lambda: certificate_checks.key(north))
    assert finding.state == "failed"
    assert "is not the key of" in finding.found
    secret = north.key.read_text().splitlines()[1]
    assert secret[:16] not in finding.found + finding.cure


def test_a_name_that_is_not_the_certificates(north: CertificateFiles) -> None:
    finding = _found(lambda: certificate_checks.name(north, "south", ["north", "south"]))
    assert finding.state == "failed"
    assert "the certificate of 'north', not of 'south'" in finding.found
    assert finding.cure


def test_a_name_that_is_not_in_the_settings(north: CertificateFiles) -> None:
    finding = certificate_checks.name(north, "north", ["east", "south"])
    assert (finding.state, "east, south" in finding.found) == ("failed", True)
    assert "--site" in finding.cure


@pytest.mark.parametrize(
    ("later", "state"), [(75 * DAY, "ok"), (77 * DAY, "warning"), (91 * DAY, "failed"), (-DAY, "failed")]
)
def test_days_to_expiry(north: CertificateFiles, later: timedelta, state: str) -> None:
    finding = _found(lambda: certificate_checks.validity(north, datetime.now(UTC) + later))
    assert finding.state == state
    assert bool(finding.cure) == (state != "ok")


def test_the_authority_may_expire_first(authority: Path, tmp_path: Path) -> None:
    certificates.issue_site(authority, tmp_path / "long", "north", 900 * DAY)
    files = CertificateFiles.in_folder(tmp_path / "long")
    assert certificate_checks.validity(files, datetime.now(UTC) + 290 * DAY).state == "warning"


@pytest.mark.parametrize(
    ("names", "address", "fits"),
    [
        (["fl.example.org"], "fl.example.org", True),
        (["fl.example.org"], "FL.Example.org", True),
        (["*.example.org"], "fl.example.org", True),
        (["*.example.org"], "a.fl.example.org", False),
        (["*.org"], "example", False),
        (["10.0.0.1"], "10.0.0.1", True),
        (["::1"], "0:0:0:0:0:0:0:1", True),
        (["*.0.0.1"], "10.0.0.1", False),
        ([], "localhost", False),
    ],
)
def test_the_names_that_cover_an_address(names: list[str], address: str, fits: bool) -> None:
    assert certificate_info.covers(names, address) == fits


def test_the_aggregators_certificate(authority: Path, tmp_path: Path) -> None:
    certificates.issue_aggregator(authority, tmp_path / "aggregator", ["fl.example.org"], 30 * DAY)
    info = certificate_info.describe(tmp_path / "aggregator" / "party.crt")
    now = datetime.now(UTC)
    assert certificate_checks.served(info, "fl.example.org", now).state == "ok"
    assert certificate_checks.served(info, "fl.example.org", now + 20 * DAY).state == "warning"
    assert certificate_checks.served(info, "fl.example.org", now + 31 * DAY).state == "failed"
    elsewhere = certificate_checks.served(info, "10.0.0.1", now)
    assert elsewhere.state == "failed"
    assert "--san 10.0.0.1" in elsewhere.cure


def test_a_sites_certificate_is_none_for_a_server(north: CertificateFiles) -> None:
    finding = certificate_checks.served(certificate_info.describe(north.certificate), "north")
    assert (finding.state, "client" in finding.found) == ("failed", True)
    assert "fedmol certs aggregator" in finding.cure
