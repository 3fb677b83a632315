"""fedmol certs: the federation's authority, and certificates for its parties."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from fedmol.cli import passphrase
from fedmol.cli.passphrase import passphrase_file
from fedmol.errors import Exit, FedmolError
from fedmol.pki import certificate_info, certificates, denied, issued

_PATH = click.Path(path_type=Path)
_LONGEST = 36_500  # days


def _validity(days: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options --days and --minutes, handed on as one `validity`."""

    def join(context: click.Context, parameter: click.Parameter, minutes: int | None) -> timedelta:
        chosen: int = context.params.pop("days")
        return timedelta(minutes=minutes) if minutes is not None else timedelta(days=chosen)

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        span = click.IntRange(1, _LONGEST)
        in_days = click.option(
            "--days", type=span, default=days, show_default=True, is_eager=True, help="days of validity"
        )
        minutes: dict[str, Any] = {"type": click.IntRange(min=1, max=_LONGEST * 1440), "callback": join}
        in_minutes = click.option("--minutes", "validity", help="minutes of validity instead, for trials", **minutes)
        return in_days(in_minutes(function))

    return decorate


_authority = click.option(
    "--ca", "authority", type=_PATH, required=True, help="folder of the authority (fedmol certs ca)"
)


@click.group()
def certs() -> None:
    """Make, sign, install and show certificates.

    \b
    A site's key never leaves the site:
      site         fedmol certs request --site NAME --out DIR      send DIR/party.csr
      coordinator  fedmol certs sign party.csr --ca CA --site NAME --out NAME.crt
                   compare the fingerprints; send NAME.crt and CA/ca.crt
      site         fedmol certs install NAME.crt --ca ca.crt --dir DIR
    """


@certs.command()
@click.option("--out", type=_PATH, required=True, help="folder for ca.crt and ca.key; keep it private")
@click.option("--name", default="fedmol", show_default=True, help="name of the federation")
@click.option("--no-passphrase", is_flag=True, help="do not protect the key, for trials")
@passphrase_file
@_validity(days=3650)
def ca(out: Path, name: str, validity: timedelta, no_passphrase: bool, passphrase_file: Path | None) -> None:
    """Make the federation's authority; a passphrase protects its key."""
    certificates.make_ca(out, name, validity, None if no_passphrase else passphrase.chosen(passphrase_file))
    click.echo(f"authority made in {out}: send ca.crt to every site, and ca.key to nobody")
    click.echo(f"fingerprint of ca.crt: {certificate_info.describe(out / 'ca.crt').fingerprint}")


@certs.command()
@_authority
@click.option(
    "--san", "names", multiple=True, required=True, help="host name or IP address that sites connect to; repeatable"
)
@click.option("--out", type=_PATH, required=True, help="folder for the aggregator's --certs")
@passphrase_file
@_validity(days=365)
def aggregator(
    authority: Path, names: tuple[str, ...], out: Path, validity: timedelta, passphrase_file: Path | None
) -> None:
    """Make the aggregator's key and certificate."""
    opening = passphrase.existing(authority, passphrase_file)
    certificates.issue_aggregator(authority, out, names, validity, opening)
    click.echo(f"ca.crt, party.crt and party.key are in {out}")


@certs.command()
@_authority
@click.option("--site", required=True, help="the site's name in federation.yaml")
@click.option("--out", type=_PATH, required=True, help="folder for the site's --certs")
@passphrase_file
@_validity(days=365)
def site(authority: Path, site: str, out: Path, validity: timedelta, passphrase_file: Path | None) -> None:
    """For trials: make a site's key and certificate in one place, so that the key has to travel."""
    certificates.issue_site(authority, out, site, validity, passphrase.existing(authority, passphrase_file))
    click.echo(f"ca.crt, party.crt and party.key are in {out}")


@certs.command()
@click.option("--site", required=True, help="this site's name in federation.yaml")
@click.option("--out", type=_PATH, required=True, help="folder for this site's --certs")
def request(site: str, out: Path) -> None:
    """At a site: make a key and a certificate request."""
    fingerprint = certificates.request(out, site)
    click.echo(f"send {out / certificates.REQUEST} to the coordinator; party.key stays here")
    click.echo(f"fingerprint of the key: {fingerprint}")


@certs.command()
@click.argument("request", type=_PATH)
@_authority
@click.option("--site", required=True, help="the site that the request has to name")
@click.option("--out", type=_PATH, required=True, help="file for the certificate")
@passphrase_file
@_validity(days=365)
def sign(
    request: Path, authority: Path, site: str, out: Path, validity: timedelta, passphrase_file: Path | None
) -> None:
    """At the coordinator: sign a site's REQUEST."""
    opening = passphrase.existing(authority, passphrase_file)
    former = {issue.key for issue in issued.read(authority) if issue.name == site}
    fingerprint = certificates.sign(authority, request, site, out, validity, opening)
    click.echo(f"fingerprint of the key: {fingerprint}")
    if former and fingerprint not in former:
        click.echo(f"{site} had another key until now; if that one is lost, deny its certificates (fedmol certs deny)")
    click.echo(f"compare it with the site over another channel than the request took, then send {out} and ca.crt")


@certs.command()
@click.argument("certificate", type=_PATH)
@click.option("--ca", "ca_certificate", type=_PATH, required=True, help="the authority's ca.crt, from the coordinator")
@click.option("--dir", "folder", type=_PATH, required=True, help="folder of the request")
def install(certificate: Path, ca_certificate: Path, folder: Path) -> None:
    """At a site: check the signed CERTIFICATE and put it beside its key."""
    info = certificates.install(certificate, ca_certificate, folder)
    click.echo(f"{info.subject} is ready in {folder}, until {info.not_after:%Y-%m-%d %H:%M} UTC")
    click.echo(f"fingerprint of ca.crt: {certificate_info.describe(folder / 'ca.crt').fingerprint}")


@certs.command("list")
@_authority
def list_(authority: Path) -> None:
    """List the certificates that the authority has signed."""
    certificate_info.describe(authority / "ca.crt")
    for issue in issued.read(authority):
        click.echo(f"{issue.time:%Y-%m-%d}  {issue.name:<20} until {issue.until:%Y-%m-%d}  serial {issue.serial}")


@certs.command()
@click.argument("whom")
@click.option("--certs", "folder", type=_PATH, required=True, help="folder of the aggregator's --certs")
def deny(whom: str, folder: Path) -> None:
    """Make the aggregator refuse WHOM: a site, a serial number, or the certificate in a file."""
    if "server" not in certificate_info.describe(folder / "party.crt").usages:
        raise FedmolError(Exit.USAGE, f"{folder} is not an aggregator's folder", "name the one of its --certs")
    entry = _of_a_site(Path(whom)) if Path(whom).is_file() else whom
    new = denied.add(folder, entry)
    said = "is denied from the next call on" if new else "was denied already"
    click.echo(f"whoever has the name or the serial number {denied.normal(entry)} {said}, by {folder / denied.FILE}")


def _of_a_site(path: Path) -> str:
    info = certificate_info.describe(path)
    if "client" not in info.usages:
        raise FedmolError(Exit.USAGE, f"{path} is not a site's certificate", "name the file of one that a site shows")
    return info.serial


@certs.command()
@click.argument("paths", type=_PATH, nargs=-1, required=True)
def show(paths: tuple[Path, ...]) -> None:
    """Print the certificates in PATHS."""
    now = datetime.now(UTC)
    for path in paths:
        click.echo(f"{path}")
        for label, said in _lines(certificate_info.describe(path), now):
            click.echo(f"  {label:<12} {said}")


def _lines(info: certificate_info.CertificateInfo, now: datetime) -> list[tuple[str, str]]:
    days = info.days_left(now)
    return [
        ("subject", info.subject),
        ("issuer", info.issuer),
        ("names", ", ".join(info.names) or "none"),
        ("use", "authority" if info.authority else ", ".join(info.usages) or "any"),
        ("valid", f"{info.not_before:%Y-%m-%d %H:%M} to {info.not_after:%Y-%m-%d %H:%M} UTC"),
        ("days left", f"{days:.2f}" if days > 0 else "none: it has expired"),
        ("serial", info.serial),
        ("fingerprint", info.fingerprint),
    ]
