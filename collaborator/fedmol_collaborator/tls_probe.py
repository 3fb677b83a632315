"""A TLS handshake tried by hand, because gRPC says UNAVAILABLE whatever is wrong with a certificate."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import Future, wait
from datetime import UTC, datetime

from fedmol.errors import Exit, FedmolError
from fedmol.pki.certificates import CertificateFiles, check_files
from fedmol_collaborator import proxy

_PATIENCE = 5.0  # seconds
_LOOK = 0.2  # seconds


def try_handshake(
    address: str, port: int, files: CertificateFiles, site: str, stop: threading.Event | None = None
) -> bool:
    """False when nobody answers (yet), or `stop` is set; True when the aggregator takes the certificate.

    Raises:
        FedmolError: CERTIFICATE_MISSING, CERTIFICATE_EXPIRED or CERTIFICATE_FOREIGN.
    """
    found: Future[bool] = Future()

    def work() -> None:  # a name server, and a peer that is silent, cannot be hurried
        try:
            found.set_result(_try(address, port, files, site))
        except Exception as error:
            found.set_exception(error)

    threading.Thread(target=work, name="handshake", daemon=True).start()
    while stop is None or not stop.is_set():
        if wait([found], _LOOK).done:
            return found.result()
    return False


def _try(address: str, port: int, files: CertificateFiles, site: str) -> bool:
    if not files.ca.exists():
        check_files(files, site)  # nobody to trust, so nobody to talk to
    try:
        plain = proxy.connect(address, port, _PATIENCE)
    except OSError:
        return False
    with plain:
        return _shake(plain, address, files, site)


def _shake(plain: socket.socket, address: str, files: CertificateFiles, site: str) -> bool:
    try:
        with tls_context(files).wrap_socket(plain, server_hostname=address) as secure:
            # In TLS 1.3 the server judges our certificate after the handshake has ended for us.
            if secure.recv(1):
                return True
            raise ConnectionResetError("closed by the aggregator")
    except ssl.SSLCertVerificationError as error:
        raise distrust(error, files) from None
    except TimeoutError:
        return False
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
        check_files(files, site, datetime.now(UTC))  # a certificate that is missing, expired or foreign says so itself
        if isinstance(error, ssl.SSLError) and "ALERT" in str(error).upper():
            raise _refused(str(error)) from None
        return False


def tls_context(files: CertificateFiles) -> ssl.SSLContext:
    """What a site trusts, and what it shows of itself where it has something to show."""
    context = ssl.create_default_context(cafile=str(files.ca))
    context.set_alpn_protocols(["h2"])
    if files.certificate.exists() and files.key.exists():
        context.load_cert_chain(files.certificate, files.key)
    return context


def distrust(error: ssl.SSLCertVerificationError, files: CertificateFiles) -> FedmolError:
    """Why the aggregator's certificate is not to be trusted, in words."""
    if "expired" in error.verify_message:
        return FedmolError(
            Exit.CERTIFICATE_EXPIRED, "the aggregator's certificate has expired", "ask the coordinator to renew it"
        )
    if "not yet valid" in error.verify_message:
        return FedmolError(
            Exit.CERTIFICATE_EXPIRED, "the aggregator's certificate is not valid yet", "set this machine's clock right"
        )
    if error.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return FedmolError(
            Exit.CERTIFICATE_FOREIGN,
            f"the aggregator's certificate is for another address: {error.verify_message}",
            "use the address that the coordinator gave, or have it added to the aggregator's certificate",
        )
    return FedmolError(
        Exit.CERTIFICATE_FOREIGN,
        f"the aggregator's certificate was not issued by the authority in {files.ca.name}: {error.verify_message}",
        "install the federation's ca.crt and a certificate signed by it (fedmol certs install)",
    )


def _refused(detail: str) -> FedmolError:
    return FedmolError(
        Exit.CERTIFICATE_FOREIGN,
        f"the aggregator does not accept this site's certificate ({detail})",
        "have it signed by the federation's authority (fedmol certs request, sign, install)",
    )
