"""The way to the aggregator, as far as it can be tried without speaking fedmol's protocol."""

from __future__ import annotations

import socket
import ssl

from cryptography import x509

from fedmol.doctor.checks import Finding, failed, ok
from fedmol.pki.certificate_info import information
from fedmol.pki.certificates import CertificateFiles
from fedmol_collaborator import proxy
from fedmol_collaborator.tls_probe import distrust, tls_context

_PATIENCE = 5.0  # seconds


def resolve(host: str) -> Finding:
    if on_the_way := proxy.proxy_to(host):
        return ok(f"the proxy {on_the_way.shown} has to know {host}")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        return failed(
            f"{host}: {getattr(error, 'strerror', None) or 'not a host name'}",
            "check network.address for a slip, and this machine's DNS or /etc/hosts (in a container: its network)",
        )
    return ok(f"{host} is {', '.join(dict.fromkeys(str(entry[4][0]) for entry in found))}")


def connect(host: str, port: int) -> Finding:
    try:
        with proxy.connect(host, port, _PATIENCE) as plain:
            proxied = proxy.through(host)
            return ok(f"port {port}{proxied}" if proxied else f"to {plain.getpeername()[0]}, port {port}")
    except ConnectionRefusedError:
        return failed(
            f"nothing listens on {host}, port {port}",
            "ask the coordinator whether the aggregator runs, and whether network.port is right",
        )
    except TimeoutError:
        return failed(
            f"{host}, port {port}: no answer within {_PATIENCE:.0f} s",
            f"have outgoing TCP connections to {host}, port {port} allowed: a firewall or network policy swallows them",
        )
    except OSError as error:
        return failed(
            f"{host}, port {port}: {error.strerror or error}",
            "check this machine's route to the aggregator (VPN, network of the container)",
        )


def shake_hands(host: str, port: int, files: CertificateFiles) -> Finding:
    """TLS with the chain verified by ca.crt; whom the certificate names is another question.

    The finding's value is what the aggregator's certificate says.
    """
    context = _context(files)
    context.check_hostname = False
    try:
        with (
            proxy.connect(host, port, _PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
            assert shown is not None  # CERT_REQUIRED
            info = information(x509.load_der_x509_certificate(shown))
            return ok(f"{secure.version()}, the chain is verified by ca.crt", info)
    except ssl.SSLCertVerificationError as error:
        raise distrust(error, files) from None
    except (ssl.SSLError, ConnectionError, TimeoutError) as error:
        return failed(
            f"what listens on {host}, port {port} does not speak TLS ({getattr(error, 'reason', None) or error})",
            "check network.address and network.port; a proxy on the way must pass TLS through untouched",
        )


def _context(files: CertificateFiles) -> ssl.SSLContext:
    try:
        return tls_context(files)
    except ssl.SSLError:  # a pair that does not fit has a row of its own; here the other side is examined
        return ssl.create_default_context(cafile=str(files.ca))
