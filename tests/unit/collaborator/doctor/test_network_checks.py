"""The way to the aggregator: every fault by itself, with its cure."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fedmol.doctor.checks import Check, Finding, run_checks
from fedmol.pki import certificates
from fedmol.pki.certificates import CertificateFiles
from fedmol_collaborator.doctor import network_checks

DAY = timedelta(days=1)


def _shake(port: int, files: CertificateFiles) -> Finding:
    return run_checks([Check("it", lambda _: network_checks.shake_hands("127.0.0.1", port, files))])[0].finding


def _aggregator(authority: Path, folder: Path, validity: timedelta = 30 * DAY) -> CertificateFiles:
    certificates.issue_aggregator(authority, folder, ["agg.example", "127.0.0.1"], validity)
    return CertificateFiles.in_folder(folder)


def test_a_name_that_resolves() -> None:
    finding = network_checks.resolve("127.0.0.1")
    assert (finding.state, finding.found) == ("ok", "127.0.0.1 is 127.0.0.1")


@pytest.mark.parametrize("host", ["aggregator.invalid", "a" * 70 + ".example"])
def test_a_name_that_does_not_resolve(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if host.endswith(".invalid"):
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    finding = network_checks.resolve(host)
    assert (finding.state, host in finding.found) == ("failed", True)
    assert "network.address" in finding.cure


def test_an_open_port(listen: Callable[[Callable[[socket.socket], None]], int]) -> None:
    assert network_checks.connect("127.0.0.1", listen(lambda _: None)).state == "ok"


def test_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    finding = network_checks.connect("127.0.0.1", port)
    assert (finding.state, "nothing listens" in finding.found) == ("failed", True)
    assert "whether the aggregator runs" in finding.cure


@pytest.mark.parametrize(
    ("error", "cure"), [(TimeoutError(), "firewall"), (OSError(101, "Network is unreachable"), "route")]
)
def test_a_way_that_is_barred(error: OSError, cure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def barred(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", barred)
    finding = network_checks.connect("agg.example", 50051)
    assert finding.state == "failed"
    assert cure in finding.cure


def test_a_chain_that_our_authority_verifies(
    authority: Path, north: CertificateFiles, tmp_path: Path, serve_tls: Callable[[CertificateFiles], int]
) -> None:
    finding = _shake(serve_tls(_aggregator(authority, tmp_path / "aggregator")), north)
    assert finding.state == "ok"
    assert (finding.value.subject, finding.value.names) == ("aggregator", ("agg.example", "127.0.0.1"))


def test_a_pair_of_our_own_that_does_not_fit_is_no_fault_of_the_aggregator(
    authority: Path, north: CertificateFiles, tmp_path: Path, serve_tls: Callable[[CertificateFiles], int]
) -> None:
    served = _aggregator(authority, tmp_path / "aggregator")
    north.key.write_bytes(served.key.read_bytes())
    assert _shake(serve_tls(served), north).state == "ok"


def test_an_aggregator_of_a_foreign_authority(
    north: CertificateFiles, tmp_path: Path, serve_tls: Callable[[CertificateFiles], int]
) -> None:
    certificates.make_ca(tmp_path / "elsewhere", "elsewhere", DAY)
    finding = _shake(serve_tls(_aggregator(tmp_path / "elsewhere", tmp_path / "aggregator")), north)
    assert (finding.state, "was not issued by the authority" in finding.found) == ("failed", True)
    assert "ca.crt" in finding.cure


def test_an_aggregator_whose_certificate_has_expired(
    authority: Path, north: CertificateFiles, tmp_path: Path, serve_tls: Callable[[CertificateFiles], int]
) -> None:
    finding = _shake(serve_tls(_aggregator(authority, tmp_path / "aggregator", timedelta(seconds=-60))), north)
    assert (finding.state, "has expired" in finding.found) == ("failed", True)
    assert "renew" in finding.cure


def test_something_that_speaks_no_tls(
    north: CertificateFiles, listen: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    finding = _shake(listen(lambda peer: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")), north)
    assert (finding.state, "does not speak TLS" in finding.found) == ("failed", True)
    assert "proxy" in finding.cure
