from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedmol.errors import Exit, FedmolError
from fedmol.pki import certificate_info, certificates, denied, issued, pem
from fedmol.pki.certificates import CertificateFiles, check_files

DAY = timedelta(days=1)


def _refusal(party: CertificateFiles, name: str | None = "north", now: datetime | None = None) -> FedmolError:
    with pytest.raises(FedmolError) as caught:
        check_files(party, name, now)
    assert caught.value.cure
    return caught.value


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_for_their_owner_only(authority: Path, north: CertificateFiles) -> None:
    assert _mode(authority / "ca.key") == _mode(north.key) == 0o600
    assert _mode(authority) == _mode(north.key.parent) == 0o700


def test_certificates_say_what_they_are_for(authority: Path, north: CertificateFiles, tmp_path: Path) -> None:
    certificates.issue_aggregator(authority, tmp_path / "aggregator", ["agg.example", "10.0.0.1", "::1"], DAY)
    ca = certificate_info.describe(authority / "ca.crt")
    server = certificate_info.describe(tmp_path / "aggregator" / "party.crt")
    site = certificate_info.describe(north.certificate)
    assert (ca.authority, ca.subject, ca.issuer) == (True, "trial authority", "trial authority")
    assert (server.authority, server.names, server.usages) == (False, ("agg.example", "10.0.0.1", "::1"), ("server",))
    assert (site.authority, site.subject, site.names, site.usages) == (False, "north", ("north",), ("client",))
    assert site.issuer == ca.subject
    assert len({ca.fingerprint, server.fingerprint, site.fingerprint}) == 3


def test_validity_is_as_chosen_with_five_minutes_for_slow_clocks(authority: Path, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    certificates.issue_site(authority, tmp_path / "site", "north", timedelta(minutes=10))
    info = certificate_info.describe(tmp_path / "site" / "party.crt")
    assert info.not_after - info.not_before == timedelta(minutes=15)
    assert before <= info.not_after - timedelta(minutes=10) <= datetime.now(UTC)
    assert info.days_left(info.not_after + DAY) == -1


def test_a_certificate_never_outlives_its_authority(authority: Path, tmp_path: Path) -> None:
    certificates.issue_site(authority, tmp_path / "site", "north", 3000 * DAY)
    ca, site = (certificate_info.describe(path) for path in (authority / "ca.crt", tmp_path / "site" / "party.crt"))
    assert site.not_after == ca.not_after


def test_an_existing_key_is_never_overwritten(authority: Path, north: CertificateFiles) -> None:
    before = [path.read_bytes() for path in (authority / "ca.key", north.key)]
    for attempt in (
        lambda: certificates.make_ca(authority, "again", DAY),
        lambda: certificates.issue_site(authority, north.key.parent, "north", DAY),
        lambda: certificates.request(north.key.parent, "north"),
    ):
        with pytest.raises(FedmolError) as caught:
            attempt()
        assert caught.value.exit is Exit.USAGE
    assert [path.read_bytes() for path in (authority / "ca.key", north.key)] == before


def test_a_failed_issue_leaves_no_key_behind(tmp_path: Path) -> None:
    with pytest.raises(FedmolError) as caught:
        certificates.issue_site(tmp_path / "nowhere", tmp_path / "site", "north", DAY)
    assert caught.value.exit is Exit.CERTIFICATE_MISSING
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["käse.example"],
        ["good.example", ""],
        ["agg.example:443"],
        ["*.com"],
        ["*"],
        ["a_b.example"],
        ["a..b"],
        ["-a.example"],
        ["a" * 64 + ".example"],
        ["1.2.3"],
        ["a.example."],
        ["x.example"] * 2 + [f"h{n}.example" for n in range(40)],
    ],
)
def test_an_aggregator_needs_addresses_that_can_be_dialled(authority: Path, tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(FedmolError) as caught:
        certificates.issue_aggregator(authority, tmp_path / "aggregator", names, DAY)
    assert caught.value.exit is Exit.USAGE
    assert not (tmp_path / "aggregator").exists()


def test_request_sign_install(authority: Path, tmp_path: Path) -> None:
    site, signed = tmp_path / "site", tmp_path / "north.crt"
    told_by_site = certificates.request(site, "north")
    key = (site / "party.key").read_bytes()
    told_by_coordinator = certificates.sign(authority, site / "party.csr", "north", signed, DAY)
    info = certificates.install(signed, authority / "ca.crt", site)
    assert told_by_site == told_by_coordinator
    assert info.subject == "north"
    assert (site / "party.key").read_bytes() == key
    check_files(CertificateFiles.in_folder(site), "north")


def test_a_request_for_another_name_is_not_signed(authority: Path, tmp_path: Path) -> None:
    certificates.request(tmp_path / "site", "south")
    with pytest.raises(FedmolError) as caught:
        certificates.sign(authority, tmp_path / "site" / "party.csr", "north", tmp_path / "out.crt", DAY)
    assert caught.value.exit is Exit.CERTIFICATE_NAME
    assert not (tmp_path / "out.crt").exists()


def test_what_a_request_asks_for_beyond_name_and_key_is_not_granted(authority: Path, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "north")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("agg.example")]), critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem.write_request(tmp_path / "greedy.csr", greedy)
    certificates.sign(authority, tmp_path / "greedy.csr", "north", tmp_path / "north.crt", DAY)
    info = certificate_info.describe(tmp_path / "north.crt")
    assert (info.authority, info.names, info.usages) == (False, ("north",), ("client",))
    granted = {extension.oid for extension in pem.read_certificate(tmp_path / "north.crt").extensions}
    assert x509.OCSPNoCheck.oid not in granted


def test_a_request_signed_with_another_key_is_refused(authority: Path, tmp_path: Path) -> None:
    certificates.request(tmp_path / "site", "north")
    csr = pem.read_request(tmp_path / "site" / "party.csr")
    encoded = bytearray(csr.public_bytes(serialization.Encoding.DER))
    place = bytes(encoded).index(b"north")
    encoded[place : place + 5] = b"south"  # the signature is still that of the request for north
    forged = x509.load_der_x509_csr(bytes(encoded))
    (tmp_path / "forged.csr").write_bytes(forged.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(FedmolError) as caught:
        certificates.sign(authority, tmp_path / "forged.csr", "south", tmp_path / "out.crt", DAY)
    assert caught.value.exit is Exit.CERTIFICATE_FOREIGN


def test_install_writes_nothing_that_does_not_fit(authority: Path, north: CertificateFiles, tmp_path: Path) -> None:
    site = tmp_path / "site"
    certificates.request(site, "north")
    with pytest.raises(FedmolError) as caught:  # the right name and authority, but another key
        certificates.install(north.certificate, authority / "ca.crt", site)
    assert caught.value.exit is Exit.CERTIFICATE_FOREIGN
    assert sorted(path.name for path in site.iterdir()) == ["party.csr", "party.key"]


@pytest.mark.parametrize("name", ["", "North", "north_1", "-north", "n" * 41, "../north", "north\n", "aggregator"])
def test_names_that_no_site_can_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FedmolError) as caught:
        certificates.request(tmp_path / "site", name)
    assert caught.value.exit is Exit.USAGE
    assert not (tmp_path / "site").exists()


def test_files_in_order_pass(authority: Path, north: CertificateFiles, tmp_path: Path) -> None:
    check_files(north, "north")
    certificates.issue_aggregator(authority, tmp_path / "aggregator", ["localhost"], DAY)
    check_files(CertificateFiles.in_folder(tmp_path / "aggregator"), None)


def test_a_site_s_certificate_does_not_serve(north: CertificateFiles) -> None:
    refusal = _refusal(north, None)
    assert refusal.exit is Exit.CERTIFICATE_FOREIGN
    assert "is the certificate of a site, 'north'" in refusal.message


@pytest.mark.parametrize("missing", ["ca.crt", "party.crt", "party.key"])
def test_a_missing_file_is_named(north: CertificateFiles, missing: str) -> None:
    (north.ca.parent / missing).unlink()
    refusal = _refusal(north)
    assert refusal.exit is Exit.CERTIFICATE_MISSING
    assert missing in refusal.message


def test_expired_and_not_yet_valid(north: CertificateFiles) -> None:
    now = datetime.now(UTC)
    assert _refusal(north, now=now + 91 * DAY).exit is Exit.CERTIFICATE_EXPIRED
    assert "not valid before" in _refusal(north, now=now - DAY).message
    check_files(north, "north", now + 90 * DAY - timedelta(hours=1))


def test_a_certificate_can_be_issued_expired_for_trials(authority: Path, tmp_path: Path) -> None:
    certificates.issue_site(authority, tmp_path / "late", "north", timedelta(seconds=-60))
    assert _refusal(CertificateFiles.in_folder(tmp_path / "late")).exit is Exit.CERTIFICATE_EXPIRED


def test_another_authority_is_foreign_even_under_the_same_name(north: CertificateFiles, tmp_path: Path) -> None:
    certificates.make_ca(tmp_path / "impostor", "trial", DAY)
    shutil.copy(tmp_path / "impostor" / "ca.crt", north.ca)
    assert _refusal(north).exit is Exit.CERTIFICATE_FOREIGN


def test_a_site_is_no_authority(authority: Path, north: CertificateFiles, tmp_path: Path) -> None:
    shutil.copy(north.certificate, tmp_path / "north" / "ca.crt")
    shutil.copy(north.key, tmp_path / "north" / "ca.key")
    with pytest.raises(FedmolError) as caught:
        certificates.issue_site(tmp_path / "north", tmp_path / "south", "south", DAY)
    assert caught.value.exit is Exit.CERTIFICATE_FOREIGN


def test_a_key_of_another_certificate_is_foreign(authority: Path, north: CertificateFiles, tmp_path: Path) -> None:
    certificates.issue_site(authority, tmp_path / "south", "south", DAY)
    shutil.copy(tmp_path / "south" / "party.key", north.key)
    assert _refusal(north).exit is Exit.CERTIFICATE_FOREIGN


def test_another_name(north: CertificateFiles) -> None:
    refusal = _refusal(north, "south")
    assert refusal.exit is Exit.CERTIFICATE_NAME
    assert "'north'" in refusal.message
    assert "'south'" in refusal.message


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
@pytest.mark.parametrize("name", ["ca.crt", "party.crt", "party.key"])
def test_damaged_files_are_named(north: CertificateFiles, name: str, content: bytes) -> None:
    (north.ca.parent / name).write_bytes(content)
    refusal = _refusal(north)
    assert refusal.exit is Exit.CERTIFICATE_FOREIGN
    assert name in refusal.message


@pytest.mark.parametrize("name", ["ca.crt", "party.crt", "party.key"])
def test_a_pipe_does_not_keep_anybody_waiting(north: CertificateFiles, name: str) -> None:
    path = north.ca.parent / name
    path.unlink()
    os.mkfifo(path)
    refusal = _refusal(north)
    assert refusal.exit is Exit.CERTIFICATE_FOREIGN
    assert f"{path} cannot be read: Not a regular file but a named pipe" in refusal.message


def test_both_sides_of_a_tls_handshake_accept_them(authority: Path, north: CertificateFiles, tmp_path: Path) -> None:
    certificates.issue_aggregator(authority, tmp_path / "aggregator", ["localhost", "127.0.0.1"], DAY)
    party = CertificateFiles.in_folder(tmp_path / "aggregator")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(party.ca))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(party.certificate, party.key)
    client = ssl.create_default_context(cafile=str(north.ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_cert_chain(north.certificate, north.key)
    seen: list[object] = []

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as plain, server.wrap_socket(plain, server_side=True) as secure:
            seen.append(secure.getpeercert())
            secure.sendall(b"welcome")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        with (
            socket.create_connection(listener.getsockname(), timeout=10) as plain,
            client.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            assert secure.recv(7) == b"welcome"
        thread.join(10)
    assert "north" in str(seen[0])


@pytest.mark.parametrize("curve", [ec.SECP192R1(), ec.SECP224R1(), ec.SECP256K1(), ec.SECP521R1(), None])
def test_a_weak_or_unusual_key_gets_no_certificate(
    authority: Path, tmp_path: Path, curve: ec.EllipticCurve | None
) -> None:
    key = rsa.generate_private_key(65537, 2048) if curve is None else ec.generate_private_key(curve)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "north")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem.write_request(tmp_path / "party.csr", csr)
    with pytest.raises(FedmolError, match="fedmol takes P-256 and P-384") as caught:
        certificates.sign(authority, tmp_path / "party.csr", "north", tmp_path / "north.crt", DAY)
    assert caught.value.exit is Exit.CERTIFICATE_FOREIGN
    assert not (tmp_path / "north.crt").exists()


def test_one_key_has_one_name(authority: Path, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    for name in ("north", "south"):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        pem.write_request(tmp_path / f"{name}.csr", csr)
    certificates.sign(authority, tmp_path / "north.csr", "north", tmp_path / "north.crt", DAY)
    certificates.sign(authority, tmp_path / "north.csr", "north", tmp_path / "renewed.crt", DAY)
    with pytest.raises(FedmolError, match="certified as 'north' already") as caught:
        certificates.sign(authority, tmp_path / "south.csr", "south", tmp_path / "south.crt", DAY)
    assert caught.value.exit is Exit.CERTIFICATE_NAME
    assert not (tmp_path / "south.crt").exists()
    assert [one.name for one in issued.read(authority)][-2:] == ["north", "north"]


def test_nothing_is_lost_when_many_sign_and_deny_at_once(tmp_path: Path) -> None:
    authority = tmp_path / "authority"
    certificates.make_ca(authority, "fedmol", timedelta(days=365))
    names = [f"site-{number}" for number in range(16)]

    def sign_and_deny(name: str) -> None:
        certificates.request(tmp_path / name, name)
        certificates.sign(authority, tmp_path / name / "party.csr", name, tmp_path / f"{name}.crt", DAY)
        denied.add(authority, name)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(sign_and_deny, names))
    assert sorted(one.name for one in issued.read(authority)) == sorted(names)
    assert denied.require(authority / denied.FILE) == set(names)


@pytest.mark.parametrize("damage", [b"{}\n", b"[" * 100_000, b"\xff\n"])
def test_a_damaged_index_signs_nothing(authority: Path, tmp_path: Path, damage: bytes) -> None:
    certificates.request(tmp_path / "site", "north")
    certificates.sign(authority, tmp_path / "site" / "party.csr", "north", tmp_path / "first.crt", DAY)
    index = authority / "issued.jsonl"
    before = index.read_bytes()
    index.write_bytes(before + damage)
    try:
        with pytest.raises(FedmolError, match=r"issued\.jsonl, line") as caught:
            certificates.sign(authority, tmp_path / "site" / "party.csr", "north", tmp_path / "north.crt", DAY)
    finally:
        index.write_bytes(before)
    assert caught.value.exit is Exit.STATE_UNUSABLE
    assert not (tmp_path / "north.crt").exists()
