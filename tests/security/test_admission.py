"""Who may speak is decided by the certificate before a byte of the body; who hangs holds nobody else up (row S4)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from benchmarks.federation.member import OPENFL, channel
from fedmol.errors import Exit
from fedmol.fl.messages import ECHO, SERVICE
from fedmol.fl.refusals import decode_error
from fedmol.pki import pem
from fedmol.telemetry.events.run_events import StateDamaged
from tests.support.attacker import ANSWER, ATTACKER, PATHS, UPLOAD, Hanging, draft, refusal, stranger
from tests.support.light import Light, in_time

VALIDITY = 4  # seconds


@pytest.fixture
def lines(under_attack: Light, tmp_path: Path) -> Iterator[dict[str, grpc.Channel]]:
    """Connections of their own to the aggregator: a member's, and one with a certificate that is in no federation."""
    folder = stranger(under_attack, tmp_path / "stranger")
    authority = folder / "ca.crt"
    found = {
        "member": channel(under_attack.address, under_attack.certificates(ATTACKER), authority),
        "stranger": channel(under_attack.address, folder, authority),
    }
    yield found
    for one in found.values():
        one.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_is_refused_without_having_sent_anything(
    under_attack: Light, lines: dict[str, grpc.Channel], path: str
) -> None:
    with Hanging(lines["stranger"]) as hanging:
        answer = hanging.begin(path).exception(timeout=ANSWER)
        assert answer.code() is grpc.StatusCode.FAILED_PRECONDITION
        said = decode_error(answer.details())
        assert said is not None
        assert said.exit is Exit.CERTIFICATE_NAME


@pytest.mark.parametrize("who", ["member", "stranger"])
@pytest.mark.parametrize("count", [16, 40])
def test_streams_that_hang_hold_nobody_up(
    under_attack: Light, lines: dict[str, grpc.Channel], who: str, count: int
) -> None:
    """The member's own uploads pass as well: a newer one takes the place of one that hangs."""
    part = draft(under_attack).honest()[:1000]
    with Hanging(lines[who]) as hanging:
        for number in range(count):
            hanging.begin(f"/{OPENFL}/{UPLOAD}", *([b"\x12\xe8\x07" + part] if number % 2 else []))
        under_attack.play()
        under_attack.play()


@pytest.mark.parametrize("path", [path for path in PATHS if UPLOAD not in path])
def test_calls_that_hang_hold_nobody_up(under_attack: Light, lines: dict[str, grpc.Channel], path: str) -> None:
    with Hanging(lines["member"]) as hanging:
        for _ in range(16):
            hanging.begin(path)
        assert under_attack.members["east"].tasks()[0] == under_attack.round
        under_attack.play()


def test_too_many_calls_of_a_member_at_a_time_are_turned_away(
    under_attack: Light, lines: dict[str, grpc.Channel]
) -> None:
    with Hanging(lines["member"]) as hanging:
        calls = [hanging.begin(f"/{SERVICE}/{ECHO}") for _ in range(16)]
        until = time.monotonic() + ANSWER
        while sum(call.done() for call in calls) < 12 and time.monotonic() < until:
            time.sleep(0.05)
        codes = [call.code() for call in calls if call.done()]
        assert len(codes) >= 12
        assert set(codes) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert under_attack.members["east"].tasks()[0] == under_attack.round


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=len)
def test_lines_without_a_certificate_hold_nobody_up(under_attack: Light, first: bytes) -> None:
    host, _, port = under_attack.address.rpartition(":")
    with ExitStack() as open_lines:
        for _ in range(40):
            one = open_lines.enter_context(socket.create_connection((host, int(port))))
            one.sendall(first)
        under_attack.play()
        under_attack.play()


def test_a_certificate_is_denied_by_name_or_number_and_from_the_next_call_on(under_attack: Light) -> None:
    member = under_attack.members[ATTACKER]
    path = under_attack.certificates(ATTACKER) / "party.crt"
    serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
    denied = under_attack.stage.folder / "certs" / "aggregator" / "denied.txt"
    for line in (ATTACKER, f"{serial:X}", f"# left the federation\n{serial:x}  # last year"):
        denied.write_text(line + "\n")
        said = decode_error(refusal(member.tasks).details())
        assert said is not None
        assert said.exit is Exit.CERTIFICATE_NAME
        denied.unlink()  # which lifts nothing: a list may be lost
        assert refusal(member.tasks).code() is grpc.StatusCode.FAILED_PRECONDITION
        denied.write_text("")
        assert member.tasks()[0] == under_attack.round
    under_attack.play()


def test_a_certificate_that_expires_on_an_open_line_is_refused(under_attack: Light, tmp_path: Path) -> None:
    folder = stranger(under_attack, tmp_path / "short", ATTACKER, timedelta(seconds=VALIDITY))
    with channel(under_attack.address, folder, folder / "ca.crt") as line:
        echo = line.unary_unary(f"/{SERVICE}/{ECHO}")
        assert in_time(lambda: echo(b"still", timeout=ANSWER)) == b"still"
        time.sleep(VALIDITY)
        said = decode_error(refusal(lambda: echo(b"still", timeout=ANSWER)).details())
        assert said is not None
        assert said.exit is Exit.CERTIFICATE_EXPIRED
    under_attack.play()


@pytest.mark.parametrize("damage", [b"\0" * 40, b"\xff\xfe", b"eastern gate!\n", b"#" * (2**20 + 1)], ids=len)
def test_a_damaged_list_lets_nobody_in_again(under_attack: Light, damage: bytes) -> None:
    member = under_attack.members[ATTACKER]
    denied = under_attack.stage.folder / "certs" / "aggregator" / "denied.txt"
    denied.write_text(ATTACKER + "\n")
    before = len(under_attack.stage.events(StateDamaged))
    assert refusal(member.tasks).code() is grpc.StatusCode.FAILED_PRECONDITION
    denied.write_bytes(damage)
    try:
        assert refusal(member.tasks).code() is grpc.StatusCode.FAILED_PRECONDITION
        assert len(under_attack.stage.events(StateDamaged)) == before + 1
    finally:
        denied.write_text("")
    under_attack.play()


@pytest.mark.parametrize("curve", [ec.SECP192R1(), ec.SECP521R1(), None])
def test_a_weak_key_that_the_authority_signed_elsewhere_is_refused(
    under_attack: Light, tmp_path: Path, curve: ec.EllipticCurve | None
) -> None:
    """By name, or in the handshake already where the TLS library takes no such key; `curve` None is RSA."""
    key = rsa.generate_private_key(65537, 2048) if curve is None else ec.generate_private_key(curve)
    folder = signed_elsewhere(under_attack, tmp_path, ATTACKER, key)
    with channel(under_attack.address, folder, folder / "ca.crt") as line:
        error = refusal(lambda: line.unary_unary(f"/{SERVICE}/{ECHO}")(b"weak", timeout=ANSWER))
    said = decode_error(error.details())
    if curve is None:
        assert said is not None
    assert said is None or said.exit is Exit.CERTIFICATE_FOREIGN
    under_attack.play()


def test_one_key_under_two_names_is_one_member(under_attack: Light, tmp_path: Path) -> None:
    assert under_attack.members[ATTACKER].tasks()[0] == under_attack.round
    key = pem.read_key(under_attack.certificates(ATTACKER) / "party.key")
    other = next(site for site in under_attack.sites if site != ATTACKER)
    folder = signed_elsewhere(under_attack, tmp_path, other, key)
    with channel(under_attack.address, folder, folder / "ca.crt") as line:
        error = refusal(lambda: line.unary_unary(f"/{SERVICE}/{ECHO}")(b"two", timeout=ANSWER))
    said = decode_error(error.details())
    assert said is not None
    assert said.exit is Exit.CERTIFICATE_OF_ANOTHER_SITE
    under_attack.play()


def signed_elsewhere(
    light: Light, folder: Path, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> Path:
    """A certificate that the authority has signed with another tool than fedmol."""
    authority = light.stage.folder / "certs" / "authority"
    ca, ca_key = pem.read_certificate(authority / "ca.crt"), pem.read_key(authority / "ca.key")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(ca_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "party.key").write_bytes(private)
    pem.write_certificate(folder / "party.crt", certificate)
    pem.write_certificate(folder / "ca.crt", ca)
    return folder
