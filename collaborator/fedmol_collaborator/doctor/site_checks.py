"""The checks of a site, and which builds on which."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmol.doctor import certificate_checks, disk_space
from fedmol.doctor.checks import Check, Finding, ok
from fedmol.fl.federation import Settings
from fedmol.fl.messages import Standing
from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings
from fedmol.telemetry.events.site_events import MessageSent
from fedmol_collaborator.doctor import machine_checks, network_checks, server_checks
from fedmol_collaborator.outbound_log import OutboundLog
from fedmol_collaborator.run_end import run_end_of

_CERTIFICATES = ("authority", "certificate", "key", "site's name", "validity")
_LARGE = "the file is large: give it time once by `fedmol data card`, or try a part of it first"
_SLOW = "a step should take seconds: use a GPU, a smaller model.preset or a smaller training.batch_size"
_NEEDS_WORK = Finding("skipped", "it takes --work")


@dataclass(frozen=True)
class SiteFolders:
    """Whose files they are, where, and for which run."""

    site: str
    certificates: CertificateFiles
    shard: Path
    work: Path | None
    run: str | None = None


def checks(settings: Settings, own: SiteFolders) -> list[Check]:
    if own.work and own.run and run_end_of(own.work, own.run).over:
        return [Check("run", lambda _: ok(f"{own.run} is over, and this site took part in it"))]
    return [
        *_certificates(settings.site_names, own),
        *_connection(settings.network, own),
        *_agreement(settings, own),
        *_machine(settings, own),
    ]


def _certificates(sites: Collection[str], own: SiteFolders) -> list[Check]:
    files = own.certificates
    return [
        Check("authority", lambda _: certificate_checks.authority(files)),
        Check("certificate", lambda _: certificate_checks.issuer(files), ("authority",)),
        Check("key", lambda _: certificate_checks.key(files)),
        Check("site's name", lambda _: certificate_checks.name(files, own.site, sites)),
        Check("validity", lambda _: certificate_checks.validity(files)),
    ]


def _connection(network: NetworkSettings, own: SiteFolders) -> list[Check]:
    host, port, files = network.address, network.port, own.certificates
    messages: list[MessageSent] = []
    outbound_log = OutboundLog(messages.append, again_after=0.0)
    dns = "the name server does not answer: check this machine's DNS (in a container: its network)"
    return [
        Check("name resolution", lambda _: network_checks.resolve(host), limit=10, when_slow=dns),
        Check("connection", lambda _: network_checks.connect(host, port), ("name resolution",)),
        Check("TLS", lambda _: network_checks.shake_hands(host, port, files), ("authority", "connection")),
        Check("aggregator's name", lambda known: certificate_checks.served(known["TLS"], host), ("TLS",)),
        Check(
            "admission",
            lambda _: server_checks.admission(network, files, own.site, outbound_log),
            (*_CERTIFICATES, "aggregator's name"),
            limit=60,
        ),
        Check("clock", lambda known: server_checks.clock(known["admission"]), ("admission",)),
        Check("round trip", lambda known: server_checks.round_trip(known["admission"]), ("admission",)),
        Check("throughput", lambda _: server_checks.throughput(network, files, outbound_log), ("admission",), limit=60),
        Check("messages", lambda _: server_checks.sent(messages), ("throughput",)),
    ]


def _agreement(settings: Settings, own: SiteFolders) -> list[Check]:
    def standing(known: dict[str, Any]) -> Standing:
        found: Standing = known["admission"][-1].standing
        return found

    run = own.run
    asked = [Check("run", lambda known: server_checks.same_run(standing(known), run), ("admission",))] if run else []
    return [
        *asked,
        Check("same versions", lambda known: server_checks.same_versions(standing(known)), ("admission",)),
        Check("same model", lambda known: server_checks.same_model(settings, standing(known)), ("admission",)),
        Check("same settings", lambda known: server_checks.same_settings(settings, standing(known)), ("admission",)),
    ]


def _machine(settings: Settings, own: SiteFolders) -> list[Check]:
    return [
        Check("device", lambda _: machine_checks.device(settings.training)),
        Check("shard", lambda _: machine_checks.shard(settings, own.shard), limit=600, when_slow=_LARGE),
        Check(
            "training step",
            lambda known: machine_checks.training_step(settings, known["shard"]),
            ("device", "shard"),
            limit=300,
            when_slow=_SLOW,
        ),
        Check(
            "seconds per round",
            lambda known: server_checks.seconds_per_round(settings, known["throughput"], known["training step"]),
            ("throughput", "training step"),
        ),
        Check("memory", lambda _: machine_checks.memory(settings.training), ("training step",)),
        Check("work folder", lambda _: disk_space.work_folder(own.work) if own.work else _NEEDS_WORK),
        Check(
            "disk",
            lambda known: machine_checks.site_disk(settings, own.work, known["shard"]) if own.work else _NEEDS_WORK,
            ("shard",),
        ),
    ]
