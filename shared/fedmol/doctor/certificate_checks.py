"""A party's own certificate, key and authority, each question by itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from fedmol.doctor.checks import Finding, failed, ok, warning
from fedmol.errors import Exit, FedmolError
from fedmol.pki.certificate_info import CertificateInfo, covers, describe
from fedmol.pki.certificates import CertificateFiles, check_issuer, check_key, check_name, check_validity

_SOON = 14  # days


def authority(files: CertificateFiles) -> Finding:
    """Whom this party trusts."""
    info = describe(files.ca)
    if not info.authority:
        raise FedmolError(
            Exit.CERTIFICATE_FOREIGN,
            f"{files.ca} is not an authority's certificate, but that of {info.subject!r}",
            "put the coordinator's ca.crt there",
        )
    return ok(f"{info.subject}, fingerprint {info.fingerprint[:19]} ...")


def issuer(files: CertificateFiles) -> Finding:
    check_issuer(files)
    return ok("signed by the authority in ca.crt")


def key(files: CertificateFiles) -> Finding:
    check_key(files)
    return ok("it is the certificate's")


def name(files: CertificateFiles, site: str, sites: Collection[str]) -> Finding:
    """Whether the certificate is the named site's, and the federation has such a site."""
    if site not in sites:
        return failed(
            f"there is no site {site!r} in the settings, but {', '.join(sites)}",
            "name this site as the coordinator's federation.yaml does (--site), or have it added there",
        )
    check_name(files, site)
    return ok(f"{site}, as in the settings")


def validity(files: CertificateFiles, now: datetime | None = None) -> Finding:
    """Both this party's certificate and the authority's."""
    now = now or datetime.now(UTC)
    check_validity(files, now)
    days = min(describe(path).days_left(now) for path in (files.ca, files.certificate))
    return _days(days, "have the request in this folder signed again (fedmol certs sign, install)")


def served(info: CertificateInfo, address: str, now: datetime | None = None) -> Finding:
    """Whether the aggregator's certificate is for the address that sites dial, for a server, and for long enough."""
    if not covers(info.names, address):
        return failed(
            f"CN {info.subject}; it names {', '.join(info.names) or 'nothing'}, and not {address}",
            f"set network.address to one of these names, or have it made again with: fedmol certs aggregator "
            f"--san {address}",
        )
    if info.usages and "server" not in info.usages:
        return failed(
            f"CN {info.subject}: it is for a {info.usages[0]}, not for a server",
            "give the aggregator a certificate made with: fedmol certs aggregator",
        )
    days = _days(info.days_left(now or datetime.now(UTC)), "ask the coordinator to have it renewed")
    return Finding(days.state, f"CN {info.subject}; for {', '.join(info.names)}; {days.found}", days.cure, days.figures)


def _days(days: float, cure: str) -> Finding:
    if days < 0:
        return failed(f"expired {-days:.1f} days ago", cure, days_left=days)
    found = f"{days:.1f} days left" if days < _SOON else f"{days:.0f} days left"
    return warning(found, cure, days_left=days) if days < _SOON else ok(found, days_left=days)
