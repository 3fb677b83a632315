"""Who may speak, and how much at once: decided by the certificate, before a byte of the call's body is read."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from fedmol.errors import Exit, FedmolError
from fedmol.pki import denied, pem
from fedmol.telemetry.events.run_events import StateDamaged
from fedmol.telemetry.log import EventLog
from fedmol_aggregator.enrollment import Roster
from fedmol_aggregator.refusal_log import RefusalLog

_CALLS_A_SECOND, _BURST = 50.0, 200.0  # of one site


class Kind(Enum):
    """The kinds of calls that are counted apart; the value is how many of them a site may have open at once."""

    CONTROL = 4
    DOWNLOAD = 1
    UPLOAD = 2  # one that arrives, and one that replaces it


class Overload(Exception):
    """The site calls too often, or has too many calls open: it may try again later."""


@dataclass(frozen=True)
class Certificate:
    """What counts of a caller's certificate."""

    name: str | None
    serial: int
    expires: datetime
    key: str | None  # fingerprint; None where fedmol does not take keys of its kind


@lru_cache(maxsize=256)
def read_certificate(pem: bytes) -> Certificate:
    """The certificate that TLS has found valid when the connection was opened."""
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if len(names) == 1 else None
    return Certificate(name, certificate.serial_number, certificate.not_valid_after_utc, _fingerprint(certificate))


def _fingerprint(certificate: x509.Certificate) -> str | None:
    try:
        return pem.key_fingerprint(pem.require_sound(certificate.public_key(), "the caller"))
    except (FedmolError, UnsupportedAlgorithm, ValueError):
        return None


class DenyList:
    """The certificates that are refused although they are valid. The file is read again when it changes.

    What a list says that is damaged or gone later stays in force until a whole one is there, and the event log names
    it: an empty list denies nobody.

    Raises:
        FedmolError: STATE_UNUSABLE, when there is a list that cannot be used from the beginning.
    """

    def __init__(self, path: Path, events: EventLog) -> None:
        self.path, self.events = path, events
        self._state: object = None
        self._entries: frozenset[str] = denied.require(path) if os.path.lexists(path) else frozenset()

    def names(self, certificate: Certificate) -> bool:
        self._refresh()
        return denied.denies(self._entries, certificate.name, certificate.serial)

    def _refresh(self) -> None:
        try:
            found = self.path.stat()
        except OSError as error:
            if self._entries or not isinstance(error, FileNotFoundError):
                self._damaged(error.errno, error.strerror or str(error))
            return
        state = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)
        if state == self._state:
            return
        try:
            entries, wrong = denied.read(self.path)
        except (OSError, ValueError) as error:
            self._damaged(state, str(error))
            return
        if wrong:
            self._entries |= entries
            self._damaged(state, f"line {wrong[0]} is neither a site's name nor a serial number")
        else:
            self._entries, self._state = entries, state

    def _damaged(self, state: object, what: str) -> None:
        if state != self._state:
            self._state = state
            self.events.write(StateDamaged(file=str(self.path), detail=f"what it said before is in force: {what}"))


@dataclass
class _Account:
    """What a site has open, and how many calls it may still make at once."""

    tokens: float = _BURST
    filled: float = field(default_factory=time.monotonic)
    open: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))


class Admission:
    def __init__(
        self,
        roster: Roster,
        denied: DenyList,
        refusal_log: RefusalLog,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.roster, self.denied, self.refusal_log, self.now = roster, denied, refusal_log, now
        self._lock = threading.Lock()
        self._site_of_key: dict[str, str] = {}  # the first that showed it
        self._accounts: dict[str, _Account] = {}  # of members only, so there are few

    @contextmanager
    def enter(self, pem: bytes, kind: Kind) -> Iterator[str]:
        """The calling site, for as long as its call lasts.

        Raises:
            FedmolError: CERTIFICATE_NAME or CERTIFICATE_EXPIRED; it is in the event log.
            Overload: too many calls.
        """
        certificate = read_certificate(pem)
        site = self.refusal_log.checking(certificate.name, lambda: self._member(certificate))
        self._open(site, kind)
        try:
            yield site
        finally:
            with self._lock:
                self._accounts[site].open[kind] -= 1

    def _member(self, certificate: Certificate) -> str:
        site = self.roster.member(certificate.name)
        if self.denied.names(certificate):
            raise FedmolError(
                Exit.CERTIFICATE_NAME,
                f"the certificate of {site!r} is on this federation's list of denied certificates",
                "ask the coordinator: for a new certificate, or to take the site's name off the list",
            )
        self._check_key(site, certificate.key)
        if certificate.expires < self.now():
            raise FedmolError(
                Exit.CERTIFICATE_EXPIRED,
                f"the certificate of {site!r} expired on {certificate.expires:%Y-%m-%d}",
                "renew it (fedmol certs request, sign, install); a running site takes it up by itself",
            )
        return site

    def _check_key(self, site: str, key: str | None) -> None:
        """A member has a sound key, and no other member has the same."""
        if key is None:
            raise FedmolError(
                Exit.CERTIFICATE_FOREIGN,
                f"the certificate of {site!r} has a key of a kind that fedmol does not take",
                "make a new key on P-256 or P-384 (fedmol certs request, sign, install)",
            )
        with self._lock:
            first = self._site_of_key.setdefault(key, site)
        if first != site:
            raise FedmolError(
                Exit.CERTIFICATE_OF_ANOTHER_SITE,
                f"the key in the certificate of {site!r} is that of {first!r}, too",
                "make a key of its own at every site (fedmol certs request)",
            )

    def _open(self, site: str, kind: Kind) -> None:
        with self._lock:
            account, now = self._accounts.setdefault(site, _Account()), time.monotonic()
            account.tokens = min(_BURST, account.tokens + (now - account.filled) * _CALLS_A_SECOND)
            account.filled = now
            if account.tokens < 1:
                raise Overload(f"{site} makes more than {_CALLS_A_SECOND:.0f} calls a second")
            account.tokens -= 1
            if account.open[kind] >= kind.value:
                raise Overload(f"{site} has {kind.value} calls of this kind open already")
            account.open[kind] += 1
