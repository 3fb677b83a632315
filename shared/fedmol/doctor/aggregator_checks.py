"""The checks of the aggregator's own folder and machine, before sites are told to come."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from fedmol.doctor import certificate_checks, disk_space
from fedmol.doctor.checks import Check, Finding, failed, ok, warning
from fedmol.fl.federation import Settings
from fedmol.pki.certificate_info import describe
from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings

_NEEDS_WORK = Finding("skipped", "it takes --work")


def checks(settings: Settings, files: CertificateFiles, work: Path | None) -> list[Check]:
    address = settings.network.address
    return [
        Check("authority", lambda _: certificate_checks.authority(files)),
        Check("certificate", lambda _: certificate_checks.issuer(files), ("authority",)),
        Check("key", lambda _: certificate_checks.key(files)),
        Check("validity", lambda _: certificate_checks.validity(files)),
        Check("address", lambda _: certificate_checks.served(describe(files.certificate), address), ("certificate",)),
        Check("port", lambda _: port(settings.network)),
        Check("work folder", lambda _: disk_space.work_folder(work) if work else _NEEDS_WORK),
        Check("disk", lambda _: disk_space.aggregator_disk(settings, work) if work else _NEEDS_WORK),
    ]


def port(network: NetworkSettings) -> Finding:
    """Whether the aggregator could listen where it should."""
    host, number = network.listen.strip("[]"), network.port
    place = f"{network.listen}, port {number}"
    try:
        with socket.create_server((host, number), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return ok(f"{place} is free")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            cure = "nothing, if it is this aggregator; else stop it, or change network.port in federation.yaml"
            return warning(f"a program listens on {place} already", cure)
        cure = "set network.listen to an address of this machine, and network.port to one that this user may open"
        return failed(f"{place}: {error.strerror}", cure)
