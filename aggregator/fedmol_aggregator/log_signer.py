"""The aggregator's signature under its event log, with the key that it serves with."""

from __future__ import annotations

import threading
from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fedmol.errors import Exit, FedmolError
from fedmol.fl.log_anchors import AnchoredLine, make
from fedmol.fl.messages import LARGEST_CERTIFICATE, LogAnchor
from fedmol.pki import pem
from fedmol.pki.certificates import CertificateFiles


class LogSigner:
    """Takes up a renewed certificate with the next round; until key and certificate fit each other, the former pair."""

    def __init__(self, files: CertificateFiles) -> None:
        """Raises FedmolError CERTIFICATE_MISSING or CERTIFICATE_FOREIGN when nothing can be signed."""
        self.files = files
        self._lock = threading.Lock()
        self._pair = self._read()
        self._last: tuple[AnchoredLine, LogAnchor] | None = None

    def anchor(self, line: AnchoredLine) -> LogAnchor:
        """The anchor of the line that closed the newest round, signed once for all sites."""
        with self._lock:
            if self._last is None or self._last[0] != line:
                with suppress(FedmolError):  # they are being renewed
                    self._pair = self._read()
                self._last = line, make(line, *self._pair)
            return self._last[1]

    def _read(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key, certificate = pem.read_key(self.files.key), pem.read_certificate(self.files.certificate)
        if key.public_key() != certificate.public_key():
            raise self._unfit(f"{self.files.key} is not the key of {self.files.certificate}")
        if len(pem.pem_of(certificate)) > LARGEST_CERTIFICATE:
            raise self._unfit(f"{self.files.certificate} is larger than {LARGEST_CERTIFICATE:,} bytes")
        return key, certificate

    def _unfit(self, what: str) -> FedmolError:
        return FedmolError(Exit.CERTIFICATE_FOREIGN, what, "make a new one with `fedmol certs aggregator`")
